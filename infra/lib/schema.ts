// Checks a TOML file against its JSON schema in contract/.

import { readFileSync } from 'node:fs';

import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { parse } from 'smol-toml';

/** Its text, or an error that names it. */
export function textOf(path: string, remedy = 'write the path of a file that exists'): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`${path}: cannot be read (${code}): ${remedy}`);
  }
}

/** What a TOML file holds, or an error that names it. */
export function tableOf(toml: string, name: string): Record<string, unknown> {
  try {
    return parse(toml);
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message.trimEnd() : error}`);
  }
}

/** Fills in the file's defaults, and returns all its faults. */
export function faultsOf(file: unknown, schema: 'hiwake' | 'deployment'): string[] {
  const text = readFileSync(new URL(`../contract/${schema}.schema.json`, import.meta.url), 'utf8');
  // `uint` and `uint32` are schemars' own formats; `minimum` has the same effect.
  const ajv = new Ajv2020({
    allErrors: true,
    validateFormats: false,
    strict: false,
    useDefaults: true,
    verbose: true,
  });
  const validate = ajv.compile(JSON.parse(text));
  return validate(file) ? [] : [...new Set((validate.errors ?? []).map(inWords))];
}

function inWords({ instancePath, params, message, parentSchema }: ErrorObject): string {
  const extra: string | undefined = params['additionalProperty'];
  const where = [...instancePath.split('/').slice(1), ...(extra ? [extra] : [])].join('.');
  const remedy: string | undefined = parentSchema?.['title'];
  return `${where}: ${extra ? 'unknown key' : remedy ? `write ${remedy}` : message}`;
}

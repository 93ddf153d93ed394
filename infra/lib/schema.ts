// Checks a TOML file against its JSON schema in contract/.

import { readFileSync } from 'node:fs';

import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';

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

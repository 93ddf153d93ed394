// Checks hiwake.toml as the functions do: the bootstrap that will be deployed does it. So synthesis
// refuses what the function would refuse at its start, in the same words and with the line.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { bootstrapOf } from './package.js';

/** This machine, and the one that a bootstrap runs on. */
const HERE = `${process.platform} ${process.arch}`;
const BUILT_FOR = 'linux x64';

/** The warnings. Throws all faults as one error, one a line. */
export function checked(config: string, built: string, here = HERE): string[] {
  const { bytes, path } = bootstrapOf(built, 'transform');
  if (here !== BUILT_FOR) {
    return [
      `${config}: only its form was checked, because the functions' own checker runs on Linux x86-64 ` +
        `and this is ${here}; run \`hiwake config check\` for the rest`,
    ];
  }
  const folder = mkdtempSync(join(tmpdir(), 'hiwake-check-'));
  try {
    const bootstrap = join(folder, 'bootstrap');
    writeFileSync(bootstrap, bytes, { mode: 0o700 });
    const options = { encoding: 'utf8', timeout: 60_000, env: {} } as const;
    const { stdout } = spawnSync(bootstrap, ['--check', config], options);
    const { errors, warnings } = report(stdout, path);
    if (errors.length > 0) throw new Error(errors.join('\n'));
    return warnings;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function report(stdout: string | null, path: string): { errors: string[]; warnings: string[] } {
  try {
    const { errors, warnings } = JSON.parse(stdout ?? '');
    if (Array.isArray(errors) && Array.isArray(warnings)) return { errors, warnings };
  } catch {
    // Reported below.
  }
  throw new Error(
    `${path}: its bootstrap did not check hiwake.toml, because it has another version; ` +
      "build the packages again with `make lambda` in the project's folder",
  );
}

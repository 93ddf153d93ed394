// The Lambda packages: the bootstraps that `make lambda` built, with the operator's hiwake.toml
// beside them. A new label needs only a synthesis, and no Rust toolchain.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as lambda from 'aws-cdk-lib/aws-lambda';
import { unzipSync, zipSync } from 'fflate';

export type PackageName = 'transform' | 'land';

/** The e_machine of an ELF header for each of Lambda's two architectures. */
const MACHINES = new Map([
  [lambda.Architecture.X86_64.name, 0x3e],
  [lambda.Architecture.ARM_64.name, 0xb7],
]);

/**
 * Fixed, so that the same bytes give the same asset: a package that did not change is not deployed.
 */
const BUILT = new Date(1980, 1, 1);

/** Removed when the process ends, because CDK has its own copies by then. */
let scratchFolder: string | undefined;
function scratch(): string {
  if (!scratchFolder) {
    const folder = mkdtempSync(join(tmpdir(), 'hiwake-packages-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    scratchFolder = folder;
  }
  return scratchFolder;
}

export class Packages {
  private readonly folder = mkdtempSync(join(scratch(), 'packages-'));

  /** `built` is the folder that holds `{transform,land}/bootstrap.zip`. */
  constructor(
    private readonly built: string,
    private readonly toml: string,
    readonly architecture: lambda.Architecture = lambda.Architecture.X86_64,
  ) {}

  code(name: PackageName): lambda.Code {
    const { bytes: bootstrap, path } = bootstrapOf(this.built, name);
    refuseOtherMachine(bootstrap, path, this.architecture);
    const zip = zipSync(
      {
        bootstrap: [bootstrap, { os: 3, attrs: 0o100755 << 16 }],
        'hiwake.toml': [new TextEncoder().encode(this.toml), { os: 3, attrs: 0o100644 << 16 }],
      },
      { mtime: BUILT },
    );
    mkdirSync(join(this.folder, name), { recursive: true });
    const assembled = join(this.folder, name, 'package.zip');
    writeFileSync(assembled, zip);
    return lambda.Code.fromAsset(assembled);
  }
}

/** The binary of a package, and where it was found. */
export function bootstrapOf(built: string, name: PackageName): { bytes: Uint8Array; path: string } {
  const path = join(built, name, 'bootstrap.zip');
  if (!existsSync(path)) {
    throw new Error(
      `${path} does not exist: build the packages first, with \`make lambda\` in the project's folder`,
    );
  }
  const bytes = unzipSync(readFileSync(path))['bootstrap'];
  if (!bytes) throw new Error(`${path} has no bootstrap: build the packages again with \`make lambda\``);
  return { bytes, path };
}

function refuseOtherMachine(
  bootstrap: Uint8Array,
  path: string,
  architecture: lambda.Architecture,
): void {
  const isElf = Buffer.from(bootstrap.subarray(0, 4)).toString('latin1') === '\x7fELF';
  const machine =
    isElf && bootstrap.length >= 20
      ? (bootstrap[18] ?? 0) | ((bootstrap[19] ?? 0) << 8)
      : undefined;
  if (machine === undefined) throw new Error(`${path}: its bootstrap is not an ELF binary`);
  if (machine !== MACHINES.get(architecture.name)) {
    const is =
      [...MACHINES].find(([, number]) => number === machine)?.[0] ??
      `machine 0x${machine.toString(16)}`;
    throw new Error(`${path}: its bootstrap is for ${is}, but the function for ${architecture.name}`);
  }
}

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { App, Stack } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { unzipSync } from 'fflate';
import { expect, test } from 'vitest';

import { Packages } from '../lib/package.js';
import { builtPackages } from './pipeline.js';

function assetOf(code: lambda.Code): Buffer {
  return readFileSync((code as lambda.AssetCode).path);
}

test("the operator's hiwake.toml replaces the built-in one", () => {
  const zip = assetOf(new Packages(builtPackages(), 'timezone = "UTC"').code('land'));
  const files = unzipSync(zip);
  expect(Object.keys(files).sort()).toEqual(['bootstrap', 'hiwake.toml']);
  expect(Buffer.from(files['hiwake.toml'] ?? '').toString()).toBe('timezone = "UTC"');
});

test('the bootstrap can be executed, on Unix', () => {
  const zip = assetOf(new Packages(builtPackages(), '').code('transform'));
  const entry = zip.indexOf('PK\x01\x02', 0, 'latin1');
  expect(zip.readUInt8(entry + 5)).toBe(3);
  expect(zip.readUInt32LE(entry + 38) >>> 16).toBe(0o100755);
});

test('the same files make the same asset; another label makes another asset', () => {
  const hash = (toml: string): string | undefined => {
    const stack = new Stack(new App(), 'Stack');
    return new Packages(builtPackages(), toml).code('land').bind(stack).s3Location?.objectKey;
  };
  expect(hash('a')).toBe(hash('a'));
  expect(hash('a')).not.toBe(hash('b'));
});

test('a bootstrap for another machine is refused', () => {
  expect(() => new Packages(builtPackages(0xb7), '').code('land')).toThrow(
    'its bootstrap is for arm64, but the function for x86_64',
  );
  const arm = new Packages(builtPackages(0xb7), '', lambda.Architecture.ARM_64);
  expect(() => arm.code('land')).not.toThrow();
  expect(() => new Packages(builtPackages(0xf3), '').code('land')).toThrow('machine 0xf3');
});

test('a package that was not built is named, with the command that builds it', () => {
  const nothing = mkdtempSync(join(tmpdir(), 'hiwake-test-'));
  expect(() => new Packages(nothing, '').code('transform')).toThrow('`make lambda`');
  rmSync(nothing, { recursive: true });
});

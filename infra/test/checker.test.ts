// Only the bootstrap that will be deployed decides; `make e2e` does this with the real one.

import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { zipSync } from 'fflate';
import { expect, test } from 'vitest';

import { checked } from '../lib/checker.js';

/** The folder of packages whose transform is a script. */
function built(script: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'hiwake-test-'));
  mkdirSync(join(folder, 'transform'));
  const bootstrap = new TextEncoder().encode(`#!/bin/sh\n${script}\n`);
  writeFileSync(join(folder, 'transform/bootstrap.zip'), zipSync({ bootstrap }));
  chmodSync(folder, 0o755);
  return folder;
}

const LINUX = 'linux x64';

test('synthesis refuses what the bootstrap refuses, in its words', () => {
  const refusing = built(`echo '{"errors": ["'"$2"':2: colour: unknown", "b"], "warnings": []}'`);
  expect(() => checked('/x/hiwake.toml', refusing, LINUX)).toThrow(
    new Error('/x/hiwake.toml:2: colour: unknown\nb'),
  );
});

test('the bootstrap checks in a process without an environment, and its warnings are passed on', () => {
  const warning = built(`echo '{"errors": [], "warnings": ["'"$1 $HOME"'"]}'`);
  expect(checked('hiwake.toml', warning, LINUX)).toEqual(['--check ']);
});

test.each(['echo nonsense', 'exit 1', 'kill -9 $$', "echo '{}'"])(
  'a bootstrap of another version (%s) checks nothing and is refused, with a remedy',
  (script) => {
    expect(() => checked('hiwake.toml', built(script), LINUX)).toThrow(
      /bootstrap.zip: its .*`make lambda`/,
    );
  },
);

test('only the form is checked except on Linux x86-64, and a warning says so', () => {
  const refusing = built('exit 1');
  expect(checked('hiwake.toml', refusing, 'darwin arm64')).toEqual([
    expect.stringMatching(
      /^hiwake.toml: only its form was checked.*darwin arm64.*`hiwake config check`/,
    ),
  ]);
});

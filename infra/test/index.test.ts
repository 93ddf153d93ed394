// The construct in another app, with packages that check a configuration as the functions do.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { App, Stage } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { zipSync } from 'fflate';
import { afterAll, expect, test, vi } from 'vitest';

import { readConfig } from '../lib/config.ts';
import { FLAGS } from '../lib/flags.ts';
import { Hiwake, Packages, PipelineStack, readDeployment } from '../lib/index.ts';
import { builtPackages, PLAIN, PROJECT } from './pipeline.ts';

const TARGET = process.env['CARGO_TARGET_DIR'] ?? fileURLToPath(new URL('target', PROJECT));

// The real transform runs the check: from `make lambda`, or else from `make check`. Land only has
// to be for the same machine.
const packages = builtPackages();
const folder = join(packages, 'transform');
const bootstrap = join(folder, 'bootstrap.zip');
if (existsSync(join(TARGET, 'lambda/transform/bootstrap.zip'))) {
  copyFileSync(join(TARGET, 'lambda/transform/bootstrap.zip'), bootstrap);
} else {
  const stripped = join(folder, 'bootstrap');
  execFileSync('strip', ['-o', stripped, join(TARGET, 'debug/transform')]);
  const zip = zipSync({ bootstrap: readFileSync(stripped) }, { level: 0 });
  writeFileSync(bootstrap, zip);
}
afterAll(() => rmSync(packages, { recursive: true }));

function given(hiwake = PLAIN): { config: string; packages: string } {
  const config = join(packages, 'hiwake.toml');
  writeFileSync(config, hiwake);
  return { config, packages };
}

test('an app without these feature flags gets the same template', () => {
  const deployment = readDeployment('');
  const theirs = new Hiwake(new App(), deployment.name, given());
  const config = readConfig(PLAIN);
  const props = { config, deployment, packages: new Packages(packages, config.toml) };
  const ours = new PipelineStack(new App({ context: FLAGS }), deployment.name, props);
  expect(Template.fromStack(theirs).toJSON()).toEqual(Template.fromStack(ours).toJSON());
});

test('it can be in a stage, with a name and tags of the app', () => {
  const stage = new Stage(new App(), 'prod');
  const stack = new Hiwake(stage, 'logs', { ...given(), tags: { team: 'web' } });
  expect(stack.stackName).toBe('prod-logs');
  expect(stack.tags.tagValues()).toEqual({ team: 'web' });
});

// The schema alone accepts both.
test('synthesis refuses what the function would refuse at its start, with each line', () => {
  const wrong = given(
    '[[source]]\nlog_groups = ["/a"]\nfile = "a/../b"\n' +
      '[[source]]\nlog_groups = ["/b"]\nlabels = ["{nothing}"]\n',
  );
  expect(() => new Hiwake(new App(), 'logs', wrong)).toThrow(
    /hiwake\.toml:3: .*file[^]*hiwake\.toml:6: .*\{nothing\}/,
  );
});

test('warnings of the function are printed, and do not stop the synthesis', () => {
  const said = vi.spyOn(console, 'error').mockImplementation(() => {});
  const perStream = '[[source]]\nlog_groups = ["/a"]\nfile = "f/{log_stream}"\n';
  new Hiwake(new App(), 'logs', given(perStream));
  expect(said.mock.calls.flat().join('\n')).toMatch(/^warning: .*hiwake\.toml:/);
  said.mockRestore();
});

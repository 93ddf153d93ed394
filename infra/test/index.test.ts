// The construct in another app, with packages that check a configuration as the functions do.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { App, Stage } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { zipSync } from 'fflate';
import { afterAll, expect, test, vi } from 'vitest';

import { checked } from '../lib/checker.js';
import { readConfig } from '../lib/config.js';
import { FLAGS } from '../lib/flags.js';
import { Hiwake, Packages, PipelineStack, readDeployment } from '../lib/index.js';
import { admitted, builtPackages, only, PLAIN, PROJECT } from './pipeline.js';

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

// The stack was called after its id, and the queue admitted only buckets called after the pipeline.
test('the pipeline has one name, whatever the ids of construct and stage; the queue admits any bucket name', () => {
  const named = { ...given(), deployment: readDeployment('name = "web"'), tags: { team: 'web' } };
  const inStage = new Hiwake(new Stage(new App(), 'prod'), 'logs', named);
  for (const stack of [inStage, new Hiwake(new App(), 'logs', named)]) {
    expect(stack.stackName).toBe('web');
    expect(stack.tags.tagValues()).toEqual({ team: 'web' });
    const template = Template.fromStack(stack);
    const land = only(template, 'AWS::Lambda::Function', 'Land').Properties;
    expect(land.FunctionName).toBe('web-land');
    expect(admitted(template)).toEqual({
      StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } },
    });
  }
});

test('two pipelines of one name in one environment are refused: the second would replace the first', () => {
  const app = new App();
  const at = (stage: string, region: string): Hiwake =>
    new Hiwake(new Stage(app, stage), 'logs', { ...given(), env: { region } });
  at('prod', 'us-east-1');
  at('tokyo', 'ap-northeast-1');
  expect(() => at('dev', 'us-east-1')).toThrow(
    'prod/logs and dev/logs are both named hiwake in aws://unknown-account/us-east-1',
  );
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

// `500ms` had a warning of the one, and was refused by the other.
test('what the function takes for a grace, synthesis elsewhere than on Linux takes too, or refuses in the same words', () => {
  const taken = '500ms|1ns|20us|0.5s|1.5h|90 m|1h30min|1h 1h|2hrs 3mins|1wk|1 0 m|0y|0.125month';
  const refused = '|soon|10|1.h|-1h|1h,2m|1H|3 fortnights|8d|1month|1y';
  for (const grace of [...taken.split('|'), ...refused.split('|')]) {
    const toml = `${PLAIN}[seal]\ngrace = "${grace}"\n`;
    const { config } = given(toml);
    const words = (act: () => unknown): string => {
      try {
        act();
        return 'taken';
      } catch (error) {
        return String(error).replace(/^.*?(?=seal.grace)/, '').replace(/ \(.*\)/, '');
      }
    };
    const verdict = words(() => checked(config, packages));
    expect([grace, words(() => readConfig(toml, config))]).toEqual([grace, verdict]);
    expect(verdict === 'taken').toBe(taken.split('|').includes(grace));
  }
});

test('warnings of the function are printed, and do not stop the synthesis', () => {
  const said = vi.spyOn(console, 'error').mockImplementation(() => {});
  const perStream = '[[source]]\nlog_groups = ["/a"]\nfile = "f/{log_stream}"\n';
  new Hiwake(new App(), 'logs', given(perStream));
  expect(said.mock.calls.flat().join('\n')).toMatch(/^warning: .*hiwake\.toml:/);
  said.mockRestore();
});

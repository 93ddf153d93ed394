// The construct in an app that is not ours.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { App, Stage } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test, vi } from 'vitest';

import { Hiwake, readDeployment } from '../lib/index.ts';
import { builtPackages, PLAIN, templateOf } from './pipeline.ts';

// The packages of these tests hold no program that checks: `make e2e` has the real one.
const checked = vi.hoisted(() => vi.fn((): string[] => []));
vi.mock('../lib/checker.ts', () => ({ checked }));

function given(hiwake = PLAIN): { config: string; packages: string } {
  const packages = builtPackages();
  const config = join(packages, 'hiwake.toml');
  writeFileSync(config, hiwake);
  return { config, packages };
}

test('an app without our feature flags gets the template of our own app', () => {
  const { name } = readDeployment('');
  const props = given();
  const stack = new Hiwake(new App(), name, props);
  expect(checked).toHaveBeenCalledWith(props.config, props.packages);
  expect(Template.fromStack(stack).toJSON()).toEqual(templateOf().toJSON());
});

test('it can be in a stage, with a name and tags of the app', () => {
  const stage = new Stage(new App(), 'prod');
  const stack = new Hiwake(stage, 'logs', { ...given(), tags: { team: 'web' } });
  expect(stack.stackName).toBe('prod-logs');
  expect(stack.tags.tagValues()).toEqual({ team: 'web' });
});

test('what is wrong with the configuration is said as the app of our own says it', () => {
  const wrong = given('[[source]]\nlog_groups = ["a"]\nlabel = ["x"]\n');
  expect(() => new Hiwake(new App(), 'logs', wrong)).toThrow(/label/);
});

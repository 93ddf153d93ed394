// What a stack leaves behind, and how another one takes it up.

import { describe, expect, test } from 'vitest';

import { takeUp, type Template, templateFile } from '../lib/take-up.js';
import { admitted, projectFile, templateOf } from './pipeline.js';

const LEFT = { 'file-system': 'fs-0aaaaaaa', delivery: 'hiwake-delivery', backup: 'hiwake-backup' };

interface Resource {
  Type: string;
  DeletionPolicy?: string;
  UpdateReplacePolicy?: string;
  Properties: Record<string, unknown>;
  DependsOn?: string[];
}

function resourcesOf(deployment: string): [string, Resource][] {
  return Object.entries(templateOf({ deployment }).toJSON().Resources);
}

function stackArtifact(stackName: string, templateFile: string) {
  return { type: 'aws:cloudformation:stack', properties: { stackName, templateFile } };
}

const KEPT = ['AWS::EFS::FileSystem', 'AWS::S3::Bucket', 'AWS::S3::Bucket'];

test('a stack whose creation fails leaves nothing behind; one that was in use keeps its data', () => {
  const resources = resourcesOf('').map(([, resource]) => resource);
  const keeping = resources.filter((one) => !['Delete', undefined].includes(one.DeletionPolicy));
  expect(keeping.map((one) => one.Type).sort()).toEqual(KEPT);
  for (const one of keeping) {
    expect([one.DeletionPolicy, one.UpdateReplacePolicy]).toEqual([
      'RetainExceptOnCreate',
      'Retain',
    ]);
  }
});

test('removal = "destroy" keeps nothing at all', () => {
  const policies = resourcesOf('removal = "destroy"').map(([, one]) => [
    one.DeletionPolicy,
    one.UpdateReplacePolicy,
  ]);
  expect([...new Set(policies.flat())].sort()).toEqual(['Delete', undefined]);
});

describe('what was left behind', () => {
  const whole: Template = templateOf().toJSON() as Template;

  test('is imported with a template that contains nothing else', () => {
    const { template, resources } = takeUp(whole, LEFT);
    const made = Object.entries(template.Resources) as [string, Resource][];
    expect(made.map(([, one]) => one.Type).sort()).toEqual(KEPT);
    // CloudFormation imports only resources with a deletion policy, without outputs or references.
    expect(Object.keys(template)).toEqual(['Resources']);
    for (const [, one] of made) expect(one.DeletionPolicy).toBe('RetainExceptOnCreate');
    const text = JSON.stringify(template);
    expect(text).not.toMatch(/"(Ref|Fn::\w+|DependsOn)"/);
    // Small enough to pass inline, without a bucket.
    expect(text.length).toBeLessThan(51_200);
    const named = [
      'FileSystemId:fs-0aaaaaaa',
      'BucketName:hiwake-delivery',
      'BucketName:hiwake-backup',
    ];
    expect(
      resources.map((one: any) => Object.entries(one.ResourceIdentifier)[0]?.join(':')),
    ).toEqual(named);
    expect(resources.map((one: any) => one.LogicalResourceId)).toEqual(made.map(([id]) => id));
  });

  test('the deployment that follows changes only the notifications of the bucket', () => {
    const { template } = takeUp(whole, LEFT);
    for (const [id, taken] of Object.entries(template.Resources) as [string, Resource][]) {
      const { DependsOn: _, ...deployed } = whole.Resources[id] as unknown as Resource;
      const { NotificationConfiguration, ...Properties } = deployed.Properties;
      expect(Boolean(NotificationConfiguration)).toBe(id.startsWith('StorageDelivery'));
      expect(taken).toEqual({ ...deployed, Properties });
    }
  });

  // The queue admitted `hiwake-*` only, and S3 would have refused to tell it anything.
  test('may have any name: the queue admits each bucket of the account', () => {
    expect(admitted(templateOf())).toEqual({
      StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } },
    });
  });

  test('is found in the assembly by the name of the stack, whatever the id of the construct', () => {
    const artifacts = {
      Tree: { type: 'cdk:tree' },
      hiwake: stackArtifact('other', 'hiwake.template.json'),
      logs: stackArtifact('hiwake', 'logs.template.json'),
    };
    expect(templateFile({ artifacts }, 'hiwake')).toBe('logs.template.json');
    expect(() => templateFile({ artifacts }, 'web')).toThrow('has no stack web');
  });

  test('may be one of them only', () => {
    const { template } = takeUp(whole, { 'file-system': 'fs-0aaaaaaa' });
    expect(Object.keys(template.Resources)).toEqual([expect.stringMatching(/^StorageFiles/)]);
  });

  test('is not taken up with removal = "destroy", nor if deployment.toml names another', () => {
    const destroyed = templateOf({ deployment: 'removal = "destroy"' }).toJSON() as Template;
    expect(() => takeUp(destroyed, LEFT)).toThrow(
      '--file-system: removal = "destroy" would delete it; write removal = "retain"',
    );
    const existing = `[network]\nvpc_id = "vpc-0aaaaaaa"\nsubnet_ids = ["subnet-0aaaaaaa"]
[efs]\nfile_system_id = "fs-0aaaaaaa"\nsecurity_group_id = "sg-0eeeeeee"`;
    const other = templateOf({ deployment: existing }).toJSON() as Template;
    expect(() => takeUp(other, LEFT)).toThrow(
      '--file-system: leave it out: deployment.toml names',
    );
  });

  test.each([
    ['file-system', 'sg-nonsense', '--file-system: `sg-nonsense` is not a file system; write fs-…'],
    ['delivery', '', '--delivery: `` is not a bucket; write BUCKET, its name'],
    ['backup', 's3://b', '--backup: `s3://b` is not a bucket; write BUCKET, its name'],
  ])('--%s %o is refused', (kind, name, fault) =>
    expect(() => takeUp(whole, { [kind]: name })).toThrow(new Error(fault)),
  );

  test('the recipe is in docs/deploy.md', () => {
    expect(projectFile('docs/deploy.md')).toMatch(
      /npx tsx bin\/take-up\.ts --file-system fs-\S+ --delivery BUCKET --backup BUCKET/,
    );
  });
});

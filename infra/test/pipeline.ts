// A synthesised pipeline for the tests: packages of a few bytes, no credentials, no network.

import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { App, type AppProps } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { zipSync } from 'fflate';

import { readConfig } from '../lib/config.js';
import { readDeployment } from '../lib/deployment.js';
import { FLAGS } from '../lib/flags.js';
import { Packages } from '../lib/package.js';
import { PipelineStack } from '../lib/pipeline.js';

export const PROJECT = new URL('../../', import.meta.url);

export function projectFile(path: string): string {
  return readFileSync(new URL(path, PROJECT), 'utf8');
}

/** A minimal configuration, which makes one filter. */
export const PLAIN = `
timezone = "Asia/Tokyo"
[[source]]
log_groups = ["/var/log/messages"]
`;

/**
 * An existing VPC, which can have the readers' machines: the VPC that the app makes has no other
 * machines.
 */
export const VPC = `
[network]
vpc_id = "vpc-0aaaaaaa"
subnet_ids = ["subnet-0aaaaaaa", "subnet-0bbbbbbb"]
`;

export const READERS = `${VPC}
[readers]
security_groups = ["sg-0aaaaaaa"]
roles = ["arn:aws:iam::123456789012:role/reader"]
`;

export interface Given {
  readonly hiwake?: string;
  readonly deployment?: string;
}

/**
 * Packages as `make lambda` leaves them, with an ELF header for the machine instead of a binary.
 */
export function builtPackages(machine = 0x3e): string {
  const folder = mkdtempSync(join(tmpdir(), 'hiwake-test-'));
  const header = new Uint8Array(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.set([2, 0, machine & 0xff, machine >> 8], 16);
  for (const name of ['transform', 'land']) {
    mkdirSync(join(folder, name));
    writeFileSync(
      join(folder, name, 'bootstrap.zip'),
      zipSync({ bootstrap: header, 'hiwake.toml': new Uint8Array() }),
    );
  }
  return folder;
}

export function stackOf(
  { hiwake = PLAIN, deployment = '' }: Given = {},
  props: AppProps = {},
): {
  app: App;
  stack: PipelineStack;
} {
  const app = new App({ context: FLAGS, ...props });
  const config = readConfig(hiwake);
  const said = readDeployment(deployment);
  const packages = new Packages(builtPackages(), config.toml);
  return { app, stack: new PipelineStack(app, said.name, { config, deployment: said, packages }) };
}

export function templateOf(given: Given = {}): Template {
  return Template.fromStack(stackOf(given).stack);
}

export type Resource = {
  Type: string;
  Properties: any;
  DeletionPolicy?: string;
  DependsOn?: string[];
};

/** The resources of a type whose logical ids contain a text. */
export function resources(template: Template, type: string, holding = ''): Resource[] {
  const found = Object.entries(template.findResources(type)).filter(([id]) => id.includes(holding));
  return found.map(([, resource]) => resource as Resource);
}

export function only(template: Template, type: string, holding = ''): Resource {
  const [one, ...others] = resources(template, type, holding);
  if (!one || others.length > 0)
    throw new Error(`${type} ${holding}: ${others.length + (one ? 1 : 0)} of them`);
  return one;
}

/**
 * CloudFormation's text, with Fn::Join joined. What only the deployment knows becomes its name in
 * <>.
 */
export function text(value: unknown): string {
  if (typeof value === 'string') return value;
  const [[key, argument] = ['', '']] = Object.entries(value as Record<string, unknown>);
  if (key === 'Fn::Join') {
    const [separator, parts] = argument as [string, unknown[]];
    return parts.map(text).join(separator);
  }
  return `<${[argument].flat().join('.')}>`;
}

/**
 * The logical ids of all that CloudFormation makes before a resource: what it depends on or refers
 * to, and so on.
 */
export function madeBefore(template: Template, id: string): Set<string> {
  const all: Record<string, Resource> = template.toJSON().Resources;
  const found = new Set<string>();
  const visit = (one: string): void => {
    const { DependsOn = [], Properties } = all[one] ?? {};
    const referred = [
      ...JSON.stringify(Properties ?? {}).matchAll(/"(?:Ref|Fn::GetAtt)":\[?"(\w+)"/g),
    ].map(([, name]) => name ?? '');
    for (const name of [...[DependsOn].flat(), ...referred].filter(
      (each) => each in all && !found.has(each),
    )) {
      found.add(name);
      visit(name);
    }
  };
  visit(id);
  return found;
}

/** On which condition S3 may put notices into land's queue. */
export function admitted(template: Template): unknown {
  const { PolicyDocument } = only(template, 'AWS::SQS::QueuePolicy', 'Notices').Properties;
  return PolicyDocument.Statement.find((one: Statement) => one.Effect === 'Allow').Condition;
}

/** The logical ids of a type's resources. */
export function idsOf(template: Template, type: string, holding = ''): string[] {
  return Object.keys(template.findResources(type)).filter((id) => id.includes(holding));
}

export interface Statement {
  Effect: string;
  Action: string | string[];
  Resource: unknown;
  Principal?: unknown;
  Condition?: Record<string, Record<string, unknown>>;
}

/** All statements of the policies of roles whose ids contain a text. */
export function statements(template: Template, holding: string): Statement[] {
  return resources(template, 'AWS::IAM::Policy', holding).flatMap(
    (policy) => policy.Properties.PolicyDocument.Statement as Statement[],
  );
}

// infra/deployment.toml → where and how the pipeline is deployed. Every fault is named at once.

import { readFileSync } from 'node:fs';

import { parse } from 'smol-toml';

export interface Deployment {
  readonly name: string;
  readonly removal: 'retain' | 'destroy';
  readonly logDays: number;
  readonly runbook: string;
  readonly bufferSeconds: number;
  readonly concurrency: number;
  readonly landingDays: number;
  readonly efsBackups: boolean;
  readonly vpcId?: string;
  readonly subnetIds: string[];
  readonly routeTableIds: string[];
  readonly fileSystemId?: string;
  readonly securityGroupId?: string;
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
  readonly readers: { readonly securityGroups: string[]; readonly roles: string[] };
  readonly tell: { readonly alarms?: string; readonly sealed?: string };
}

type Table = Record<string, unknown>;

/** Retentions that CloudWatch Logs knows, up to ten years. */
const LOG_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

export function loadDeployment(path: string): Deployment {
  return readDeployment(readFileSync(path, 'utf8'), path);
}

export function readDeployment(toml: string, name = 'deployment.toml'): Deployment {
  const reader = new Reader(parse(toml) as Table);
  const deployment = deploymentOf(reader);
  reader.finish();
  if (Boolean(deployment.fileSystemId) !== Boolean(deployment.securityGroupId)) {
    reader.faults.push('efs: file_system_id and security_group_id go together');
  }
  if (deployment.fileSystemId && !deployment.vpcId) {
    reader.faults.push('efs.file_system_id: an existing file system is in an existing VPC; write network.vpc_id');
  }
  if (Boolean(deployment.vpcId) !== deployment.subnetIds.length > 0) {
    reader.faults.push('network: vpc_id and subnet_ids go together');
  }
  if (deployment.routeTableIds.length > 0 && !deployment.vpcId) {
    reader.faults.push('network.route_table_ids: are those of an existing VPC; write network.vpc_id');
  }
  const { securityGroups, roles } = deployment.readers;
  if (securityGroups.length + roles.length > 0 && !deployment.vpcId) {
    reader.faults.push(
      'readers: the VPC that is made by default is nobody else\'s: the readers\' machines and security groups are in another one, and have no ' +
        'way to the mount targets. Write network.vpc_id: their VPC, or one that theirs is peered with',
    );
  }
  if (reader.faults.length > 0) {
    throw new Error(reader.faults.map((fault) => `${name}: ${fault}`).join('\n'));
  }
  return deployment;
}

function deploymentOf(reader: Reader): Deployment {
  return {
    // Part of the buckets' names, which CloudFormation cuts after 24 characters: see land.ts.
    name: reader.text('', 'name', /^[a-z][a-z0-9-]{0,18}[a-z0-9]$/, '2 to 20 of a-z 0-9 -') ?? 'hiwake',
    removal: (reader.text('', 'removal', /^(retain|destroy)$/, 'retain or destroy') ?? 'retain') as Deployment['removal'],
    logDays: reader.number('', 'log_days', 30, 1, 3653, LOG_DAYS),
    runbook: reader.text('', 'runbook', /^[!-~]+$/, 'an address') ?? 'docs/runbook.md',
    bufferSeconds: reader.number('stream', 'buffer_seconds', 300, 60, 900),
    concurrency: reader.number('land', 'concurrency', 2, 2, 10),
    landingDays: reader.number('storage', 'landing_days', 30, 15, 3650),
    efsBackups: reader.flag('storage', 'efs_backups'),
    vpcId: reader.text('network', 'vpc_id', id('vpc'), 'vpc-…'),
    subnetIds: reader.texts('network', 'subnet_ids', id('subnet'), 'subnet-…'),
    routeTableIds: reader.texts('network', 'route_table_ids', id('rtb'), 'rtb-…'),
    fileSystemId: reader.text('efs', 'file_system_id', id('fs'), 'fs-…'),
    securityGroupId: reader.text('efs', 'security_group_id', id('sg'), 'sg-…'),
    path: reader.text('efs', 'path', /^(\/[A-Za-z0-9._-]+){1,4}$/, 'a path of at most four folders, e.g. /hiwake') ?? '/hiwake',
    uid: reader.number('efs', 'uid', 7400, 1, 4294967295),
    gid: reader.number('efs', 'gid', 7400, 1, 4294967295),
    readers: {
      securityGroups: reader.texts('readers', 'security_groups', id('sg'), 'sg-…'),
      roles: reader.texts('readers', 'roles', /^arn:[a-z-]+:iam::\d{12}:role\/.+$/, 'arn:aws:iam::…:role/…'),
    },
    tell: {
      alarms: reader.text('tell', 'alarms', TOPIC, 'arn:aws:sns:…'),
      sealed: reader.text('tell', 'sealed', TOPIC, 'arn:aws:sns:…'),
    },
  };
}

/** An id of EC2 or EFS: eight digits of old, seventeen since. */
function id(kind: string): RegExp {
  return new RegExp(`^${kind}-([0-9a-f]{8}|[0-9a-f]{17})$`);
}

const TOPIC = /^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$/;

/** Takes the keys that are known out of a table, notes what is wrong with them, and what is left. */
class Reader {
  readonly faults: string[] = [];

  constructor(private readonly root: Table) {}

  private take(table: string, key: string): unknown {
    const from = table === '' ? this.root : this.root[table];
    if (from === undefined) return undefined;
    if (typeof from !== 'object' || from === null) {
      this.faults.push(`${table}: is a table; write [${table}]`);
      this.root[table] = undefined;
      return undefined;
    }
    const value = (from as Table)[key];
    delete (from as Table)[key];
    return value;
  }

  text(table: string, key: string, pattern: RegExp, what: string): string | undefined {
    const value = this.take(table, key);
    if (value === undefined || (typeof value === 'string' && pattern.test(value))) return value;
    this.faults.push(`${named(table, key)}: write ${what}`);
    return undefined;
  }

  texts(table: string, key: string, pattern: RegExp, what: string): string[] {
    const value = this.take(table, key) ?? [];
    if (Array.isArray(value) && value.every((one) => typeof one === 'string' && pattern.test(one))) return value;
    this.faults.push(`${named(table, key)}: write ["${what}"]`);
    return [];
  }

  number(table: string, key: string, byDefault: number, least: number, most: number, only?: number[]): number {
    const value = this.take(table, key) ?? byDefault;
    const fits = typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
    if (fits && (only ?? [value]).includes(value)) return value;
    this.faults.push(`${named(table, key)}: write ${only ? `one of ${only.join(' ')}` : `${least} to ${most}`}`);
    return byDefault;
  }

  flag(table: string, key: string): boolean {
    const value = this.take(table, key) ?? false;
    if (typeof value === 'boolean') return value;
    this.faults.push(`${named(table, key)}: write true or false`);
    return false;
  }

  /** What was not taken is unknown. */
  finish(): void {
    for (const [key, value] of Object.entries(this.root)) {
      if (typeof value !== 'object' || value === null) {
        if (value !== undefined) this.faults.push(`${key}: unknown key`);
      } else if (!TABLES.includes(key)) {
        this.faults.push(`${key}: unknown table`);
      } else {
        this.faults.push(...Object.keys(value).map((left) => `${named(key, left)}: unknown key`));
      }
    }
  }
}

const TABLES = ['stream', 'land', 'storage', 'network', 'efs', 'readers', 'tell'];

function named(table: string, key: string): string {
  return table === '' ? key : `${table}.${key}`;
}

// infra/deployment.toml → where and how the pipeline is deployed. Every fault is named at once.

import { readFileSync } from 'node:fs';

import { parse } from 'smol-toml';

import { faultsOf } from './schema.ts';

export interface Deployment {
  readonly name: string;
  readonly removal: 'retain' | 'destroy';
  readonly logDays: number;
  readonly runbook: string;
  readonly bufferSeconds: number;
  readonly concurrency: number;
  readonly landingDays: number;
  readonly efsBackups: boolean;
  readonly vpcId?: string | undefined;
  readonly subnetIds: string[];
  readonly routeTableIds: string[];
  readonly fileSystemId?: string | undefined;
  readonly securityGroupId?: string | undefined;
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
  readonly readers: { readonly securityGroups: string[]; readonly roles: string[] };
  readonly tell: { readonly alarms?: string; readonly sealed?: string };
}

/** The file, with what `contract/deployment.schema.json` fills in. */
interface File {
  name: string;
  removal: Deployment['removal'];
  log_days: number;
  runbook: string;
  stream: { buffer_seconds: number };
  land: { concurrency: number };
  storage: { landing_days: number; efs_backups: boolean };
  network: { vpc_id?: string; subnet_ids: string[]; route_table_ids: string[] };
  efs: { file_system_id?: string; security_group_id?: string; path: string; uid: number; gid: number };
  readers: { security_groups: string[]; roles: string[] };
  tell: { alarms?: string; sealed?: string };
}

export function loadDeployment(path: string): Deployment {
  return readDeployment(readFileSync(path, 'utf8'), path);
}

export function readDeployment(toml: string, name = 'deployment.toml'): Deployment {
  const file = parse(toml) as unknown as File;
  const form = faultsOf(file, 'deployment');
  const faults = form.length > 0 ? form : together(file);
  if (faults.length > 0) {
    throw new Error(faults.map((fault) => `${name}: ${fault}`).join('\n'));
  }
  return {
    name: file.name,
    removal: file.removal,
    logDays: file.log_days,
    runbook: file.runbook,
    bufferSeconds: file.stream.buffer_seconds,
    concurrency: file.land.concurrency,
    landingDays: file.storage.landing_days,
    efsBackups: file.storage.efs_backups,
    vpcId: file.network.vpc_id,
    subnetIds: file.network.subnet_ids,
    routeTableIds: file.network.route_table_ids,
    fileSystemId: file.efs.file_system_id,
    securityGroupId: file.efs.security_group_id,
    path: file.efs.path,
    uid: file.efs.uid,
    gid: file.efs.gid,
    readers: { securityGroups: file.readers.security_groups, roles: file.readers.roles },
    tell: file.tell,
  };
}

/** What is wrong with values that are right one by one. */
function together({ network, efs, readers }: File): string[] {
  const faults: string[] = [];
  if (Boolean(efs.file_system_id) !== Boolean(efs.security_group_id)) {
    faults.push('efs: file_system_id and security_group_id go together');
  }
  if (efs.file_system_id && !network.vpc_id) {
    faults.push('efs.file_system_id: an existing file system is in an existing VPC; write network.vpc_id');
  }
  if (Boolean(network.vpc_id) !== network.subnet_ids.length > 0) {
    faults.push('network: vpc_id and subnet_ids go together');
  }
  if (network.route_table_ids.length > 0 && !network.vpc_id) {
    faults.push('network.route_table_ids: are those of an existing VPC; write network.vpc_id');
  }
  if (readers.security_groups.length + readers.roles.length > 0 && !network.vpc_id) {
    faults.push(
      'readers: the VPC that is made by default has nobody else in it, so the readers have no way to the mount targets. ' +
        'Write network.vpc_id: their VPC, or one that theirs is peered with',
    );
  }
  return faults;
}

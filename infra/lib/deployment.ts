// Reads infra/deployment.toml: where and how the pipeline is deployed. Reports all faults at once.

import { faultsOf, tableOf, textOf } from './schema.js';

export interface Deployment {
  readonly name: string;
  readonly removal: 'retain' | 'destroy';
  readonly logDays: number;
  readonly runbook: string;
  readonly bufferSeconds: number;
  /** Hours without a record until an alarm rings; 0 is never. */
  readonly silenceHours: number;
  /** GB of metered I/O a day above which an alarm rings; 0 is never. */
  readonly meteredGb: number;
  readonly concurrency: number;
  readonly landingDays: number;
  readonly efsBackups: boolean;
  readonly vpcId?: string | undefined;
  readonly subnetIds: string[];
  readonly routeTableIds: string[];
  readonly fileSystemId?: string | undefined;
  readonly securityGroupId?: string | undefined;
  readonly throughput: 'elastic' | 'bursting';
  /** Availability Zones of the VPC that the app makes; empty for the region's first two. */
  readonly zones: string[];
  /** The only Availability Zone of a One Zone file system, e.g. us-east-1a. */
  readonly zone?: string | undefined;
  /** Days until Infrequent Access, and until Archive; 0 is never. */
  readonly iaDays: number;
  readonly archiveDays: number;
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
  readonly readers: { readonly securityGroups: string[]; readonly roles: string[] };
  readonly tell: { readonly alarms?: string; readonly sealed?: string; readonly key?: string };
}

/** The file, with the defaults of `contract/deployment.schema.json`. */
interface File {
  name: string;
  removal: Deployment['removal'];
  log_days: number;
  runbook: string;
  stream: { buffer_seconds: number; silence_hours: number };
  land: { concurrency: number };
  storage: { landing_days: number; efs_backups: boolean };
  network: { vpc_id?: string; zones: string[]; subnet_ids: string[]; route_table_ids: string[] };
  efs: {
    file_system_id?: string;
    security_group_id?: string;
    throughput: Deployment['throughput'];
    one_zone: string | false;
    ia_days: number;
    archive_days: number;
    metered_gb: number;
    path: string;
    uid: number;
    gid: number;
  };
  readers: { security_groups: string[]; roles: string[] };
  tell: { alarms?: string; sealed?: string; key?: string };
}

export function loadDeployment(path: string): Deployment {
  return readDeployment(textOf(path), path);
}

export function readDeployment(toml: string, name = 'deployment.toml'): Deployment {
  const file = tableOf(toml, name) as unknown as File;
  // The keys that the operator wrote, before the defaults are filled in.
  const written = Object.keys(file.efs ?? {});
  const form = faultsOf(file, 'deployment');
  const faults = form.length > 0 ? form : [...together(file), ...ofFileSystem(file, written)];
  if (faults.length > 0) {
    throw new Error(faults.map((fault) => `${name}: ${fault}`).join('\n'));
  }
  return {
    name: file.name,
    removal: file.removal,
    logDays: file.log_days,
    runbook: file.runbook,
    bufferSeconds: file.stream.buffer_seconds,
    silenceHours: file.stream.silence_hours,
    meteredGb: file.efs.metered_gb,
    concurrency: file.land.concurrency,
    landingDays: file.storage.landing_days,
    efsBackups: file.storage.efs_backups,
    vpcId: file.network.vpc_id,
    subnetIds: file.network.subnet_ids,
    routeTableIds: file.network.route_table_ids,
    fileSystemId: file.efs.file_system_id,
    securityGroupId: file.efs.security_group_id,
    throughput: file.efs.throughput,
    zones: file.network.zones,
    zone: file.efs.one_zone || undefined,
    iaDays: file.efs.ia_days,
    archiveDays: file.efs.archive_days,
    path: file.efs.path,
    uid: file.efs.uid,
    gid: file.efs.gid,
    readers: { securityGroups: file.readers.security_groups, roles: file.readers.roles },
    tell: file.tell,
  };
}

/** Faults of values that are valid alone, but not together. */
function together({ network, efs, readers, storage, tell }: File): string[] {
  const faults: string[] = [];
  if (Boolean(efs.file_system_id) !== Boolean(efs.security_group_id)) {
    faults.push('efs: write both file_system_id and security_group_id, or neither');
  }
  if (efs.file_system_id && !network.vpc_id) {
    faults.push(
      'efs.file_system_id: an existing file system is in an existing VPC; write network.vpc_id',
    );
  }
  if (Boolean(network.vpc_id) !== network.subnet_ids.length > 0) {
    faults.push('network: write both vpc_id and subnet_ids, or neither');
  }
  if (network.zones.length > 0 && (network.vpc_id || efs.one_zone)) {
    faults.push(
      'network.zones: applies only to a VPC that the app makes, with a file system in several zones. ' +
        'Remove it: an existing VPC has subnet_ids, a file system in one zone has efs.one_zone',
    );
  }
  if (network.zones.length === 1) {
    faults.push(
      'network.zones: one zone is too few; write two, or efs.one_zone for a file system in one zone',
    );
  }
  const regions = [...new Set(network.zones.map((zone) => zone.slice(0, -1)))];
  if (regions.length > 1) {
    faults.push(`network.zones: are in ${regions.join(' and ')}; write zones of one region`);
  }
  if (efs.file_system_id && storage.efs_backups) {
    faults.push(
      'storage.efs_backups: an existing file system keeps its own backup policy; set it there, and remove this key',
    );
  }
  if (tell.key && !tell.alarms && !tell.sealed) {
    faults.push('tell.key: is of use only with a topic; write tell.alarms or tell.sealed, or remove it');
  }
  if (network.route_table_ids.length > 0 && !network.vpc_id) {
    faults.push('network.route_table_ids: belong to an existing VPC; write network.vpc_id');
  }
  if (readers.security_groups.length > 0 !== readers.roles.length > 0) {
    faults.push(
      'readers: write both security_groups and roles: a reader needs network access and permission',
    );
  }
  if (readers.security_groups.length + readers.roles.length > 0 && !network.vpc_id) {
    faults.push(
      'readers: the VPC that the app makes has no other machines, so readers cannot reach the mount targets. ' +
        'Write network.vpc_id: their VPC, or one that is peered with it',
    );
  }
  return faults;
}

/** Keys that are valid only for a file system that the app makes. */
const MADE = ['throughput', 'one_zone', 'ia_days', 'archive_days'];

/** Faults that EFS or Lambda would find only in the middle of a deployment. */
function ofFileSystem({ network, efs }: File, written: string[]): string[] {
  if (efs.file_system_id) {
    const kept = written.filter((key) => MADE.includes(key));
    return kept.map(
      (key) =>
        `efs.${key}: an existing file system keeps its own setting; change it there, and remove this key`,
    );
  }
  const faults: string[] = [];
  if (efs.archive_days > 0 && efs.throughput === 'bursting') {
    faults.push(
      'efs.archive_days: EFS has Archive only with elastic throughput; write throughput = "elastic" or archive_days = 0',
    );
  }
  if (efs.archive_days > 0 && efs.one_zone) {
    faults.push(
      'efs.archive_days: EFS has no Archive in One Zone file systems; write one_zone = false or archive_days = 0',
    );
  }
  if (efs.archive_days > 0 && (efs.ia_days === 0 || efs.archive_days <= efs.ia_days)) {
    faults.push(
      'efs.archive_days: EFS moves a file to Infrequent Access before it moves it to Archive; ' +
        'write an ia_days above 0 and an archive_days above ia_days, or archive_days = 0',
    );
  }
  if (efs.one_zone && network.subnet_ids.length > 1) {
    faults.push(
      'efs.one_zone: the file system has one mount target, and Lambda refuses a subnet in a zone without one; ' +
        `write in network.subnet_ids only the subnet in ${efs.one_zone}`,
    );
  }
  return faults;
}

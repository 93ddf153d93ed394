// Where data is stored: delivered objects, the backup of source records, day files.

import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as efs from 'aws-cdk-lib/aws-efs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

import { acknowledge } from './acknowledge.js';
import { Alarm, FIVE_MINUTES } from './alarm.js';
import type { Config } from './config.js';
import type { Deployment } from './deployment.js';
import type { Network } from './network.js';

export interface StorageProps {
  readonly config: Config;
  readonly deployment: Deployment;
  readonly network: Network;
}

/** The fewest days that Glacier Instant Retrieval charges for. */
const GLACIER_DAYS = 90;
/**
 * Bytes of burst credits that an hour at 100 MiB/s uses up. That is how fast EFS lets a file system
 * burst.
 */
const HOUR_OF_BURSTING = 3600 * 100 * 1024 ** 2;

export class Storage extends Construct {
  /** What Firehose delivers: landing/ and failed/. */
  readonly delivery: s3.Bucket;
  /** What Firehose received: backup/. */
  readonly backup: s3.Bucket;
  readonly fileSystem: efs.IFileSystem;
  /** The day files, for the functions that write them. */
  readonly writer: efs.AccessPoint;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: StorageProps,
  ) {
    super(scope, id);
    this.delivery = this.deliveryBucket();
    this.backup = this.backupBucket();
    this.fileSystem = props.deployment.fileSystemId ? this.existing() : this.ownFileSystem();
    this.writer = this.accessPoint('Writer', props.deployment.uid);
    this.alarms();
    props.network.allowOnly([this.delivery, this.backup]);
  }

  /**
   * An access point to the day files. At the first mount, CreationInfo makes their folder; without
   * it, that mount fails. It has no effect once the folder exists.
   */
  accessPoint(id: string, uid: number): efs.AccessPoint {
    const { path, uid: owner, gid } = this.props.deployment;
    return new efs.AccessPoint(this, id, {
      fileSystem: this.fileSystem,
      path,
      createAcl: { ownerUid: `${owner}`, ownerGid: `${gid}`, permissions: '0750' },
      posixUser: { uid: `${uid}`, gid: `${gid}` },
    });
  }

  private get kept(): boolean {
    return this.props.deployment.removal === 'retain';
  }

  private get removalPolicy(): RemovalPolicy {
    // Not kept if the creation of the stack fails: they are empty then, and block the next try.
    return this.kept ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : RemovalPolicy.DESTROY;
  }

  private deliveryBucket(): s3.Bucket {
    const expiration = Duration.days(this.props.deployment.landingDays);
    return this.bucket('Delivery', {
      lifecycleRules: [
        // Later than its notice, which may be 14 days old.
        { id: 'landed', prefix: 'landing/', expiration },
        { id: 'failed', prefix: 'failed/', expiration },
        ABORT,
      ],
    });
  }

  private backupBucket(): s3.Bucket {
    const days = backupDays(this.props.config);
    const backup = this.bucket('Backup', {
      // Overwritten versions are kept for a week, because Firehose may write any name, even one
      // that exists.
      versioned: this.kept,
      lifecycleRules: [
        {
          id: 'replayable',
          expiration: Duration.days(days),
          ...(this.kept && { noncurrentVersionExpiration: Duration.days(7) }),
          // No colder class, because a replay reads objects without restoring them first.
          ...(days > GLACIER_DAYS && {
            transitions: [
              {
                storageClass: s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
                transitionAfter: Duration.days(Math.min(7, days - GLACIER_DAYS)),
              },
            ],
          }),
        },
        ABORT,
      ],
    });
    // Only the lifecycle removes anything.
    if (this.kept) {
      backup.addToResourcePolicy(
        new iam.PolicyStatement({
          sid: 'NobodyDeletes',
          effect: iam.Effect.DENY,
          principals: [new iam.AnyPrincipal()],
          actions: ['s3:DeleteObject', 's3:DeleteObjectVersion'],
          resources: [backup.arnForObjects('*')],
        }),
      );
    }
    return backup;
  }

  private bucket(id: string, props: s3.BucketProps): s3.Bucket {
    const bucket = new s3.Bucket(this, id, {
      encryption: s3.BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      removalPolicy: this.removalPolicy,
      ...props,
    });
    acknowledge(
      bucket,
      'AwsSolutions-S1',
      'Access logs would be a second set of logs; where it matters who reads, CloudTrail data events show it.',
    );
    return bucket;
  }

  private ownFileSystem(): efs.FileSystem {
    const { network, deployment } = this.props;
    const door = new ec2.SecurityGroup(this, 'Door', {
      vpc: network.vpc,
      description: 'hiwake: the file system',
      allowAllOutbound: false,
    });
    const fileSystem = new efs.FileSystem(this, 'Files', {
      vpc: network.vpc,
      vpcSubnets: network.subnets,
      securityGroup: door,
      encrypted: true,
      performanceMode: efs.PerformanceMode.GENERAL_PURPOSE,
      throughputMode:
        deployment.throughput === 'bursting'
          ? efs.ThroughputMode.BURSTING
          : efs.ThroughputMode.ELASTIC,
      lifecyclePolicy: after(deployment.iaDays),
      transitionToArchivePolicy: after(deployment.archiveDays),
      // `false` makes CDK grant write and root access to every client that may mount, so readers
      // could write. A policy of one's own also ends anonymous access.
      allowAnonymousAccess: true,
      fileSystemPolicy: new iam.PolicyDocument({ statements: this.policy() }),
      removalPolicy: this.removalPolicy,
    });
    const resource = fileSystem.node.defaultChild as efs.CfnFileSystem;
    // Always written, because CDK writes nothing for "off".
    resource.backupPolicy = { status: deployment.efsBackups ? 'ENABLED' : 'DISABLED' };
    // By name, because CDK's oneZone selects subnets by their zones, which the ids of existing
    // subnets do not show.
    resource.availabilityZoneName = deployment.zone;
    if (!deployment.efsBackups) {
      acknowledge(
        fileSystem,
        'AwsSolutions-EFS1',
        'The S3 backup can rebuild every day file; storage.efs_backups makes AWS Backup copy them too.',
      );
    }
    return fileSystem;
  }

  /**
   * Requires TLS, and denies root to all. Writers are allowed by their roles. Readers mount through
   * an access point. Writing is denied to them, because their own policies could allow it, e.g.
   * with "elasticfilesystem:*".
   */
  private policy(): iam.PolicyStatement[] {
    const accessPoints = Stack.of(this).formatArn({
      service: 'elasticfilesystem',
      resource: 'access-point',
      resourceName: '*',
    });
    const { roles } = this.props.deployment.readers;
    const encrypted = new iam.PolicyStatement({
      sid: 'OnlyEncrypted',
      effect: iam.Effect.DENY,
      principals: [new iam.AnyPrincipal()],
      actions: ['*'],
      conditions: { Bool: { 'aws:SecureTransport': 'false' } },
    });
    const readers = new iam.PolicyStatement({
      sid: 'ReadersMount',
      principals: roles.map((role) => new iam.ArnPrincipal(role)),
      actions: ['elasticfilesystem:ClientMount'],
      conditions: {
        ArnLike: { 'elasticfilesystem:AccessPointArn': accessPoints },
        Bool: { 'elasticfilesystem:AccessedViaMountTarget': 'true' },
      },
    });
    const rootless = new iam.PolicyStatement({
      sid: 'NobodyIsRoot',
      effect: iam.Effect.DENY,
      principals: [new iam.AnyPrincipal()],
      actions: ['elasticfilesystem:ClientRootAccess'],
    });
    const readOnly = new iam.PolicyStatement({
      sid: 'ReadersOnlyRead',
      effect: iam.Effect.DENY,
      principals: roles.map((role) => new iam.ArnPrincipal(role)),
      actions: ['elasticfilesystem:ClientWrite', 'elasticfilesystem:ClientRootAccess'],
    });
    return [encrypted, rootless, ...(roles.length > 0 ? [readers, readOnly] : [])];
  }

  private alarms(): void {
    const { throughput, meteredGb } = this.props.deployment;
    new Alarm(this, 'file system busy', {
      means: 'The file system is near the limit of operations a second of its performance mode.',
      metric: this.metric('PercentIOLimit', { statistic: 'Maximum' }),
      above: 80,
      periods: 3,
    });
    if (throughput === 'bursting') {
      new Alarm(this, 'burst credits low', {
        means:
          'The file system can burst for less than another hour. Then all its clients share the baseline.',
        metric: this.metric('BurstCreditBalance', { statistic: 'Minimum' }),
        below: HOUR_OF_BURSTING,
      });
    } else if (meteredGb > 0) {
      new Alarm(this, 'file system costs', {
        means: `EFS has metered more than ${meteredGb} GB of I/O in a day, and charges for each.`,
        metric: this.metric('MeteredIOBytes', { statistic: 'Sum', period: Duration.days(1) }),
        above: meteredGb * 1e9,
      });
    }
  }

  private metric(metricName: string, props: cloudwatch.MetricOptions): cloudwatch.Metric {
    const dimensionsMap = { FileSystemId: this.fileSystem.fileSystemId };
    return new cloudwatch.Metric({
      namespace: 'AWS/EFS',
      metricName,
      dimensionsMap,
      period: FIVE_MINUTES,
      ...props,
    });
  }

  private existing(): efs.IFileSystem {
    const { fileSystemId, securityGroupId } = this.props.deployment;
    return efs.FileSystem.fromFileSystemAttributes(this, 'Files', {
      fileSystemId: fileSystemId ?? '',
      securityGroup: ec2.SecurityGroup.fromSecurityGroupId(this, 'Door', securityGroupId ?? ''),
    });
  }
}

const ABORT: s3.LifecycleRule = {
  id: 'unfinished',
  abortIncompleteMultipartUploadAfter: Duration.days(3),
};

/** EFS's name for a number of days; 0 is never. */
function after(days: number): efs.LifecyclePolicy | undefined {
  return days === 0
    ? undefined
    : (`AFTER_${days}_DAY${days === 1 ? '' : 'S'}` as efs.LifecyclePolicy);
}

/**
 * How many days source records are kept: as long as any of their days can be replayed into. A day's
 * last records may arrive 14 days after it, because CloudWatch Logs accepts events that old. They
 * make a late segment, which is published after `grace`, or 48 h after its first commit. The day's
 * journal is closed only `journal_days` after the last publication. So this adds up `journal_days`,
 * the day itself, the days of late events, the longer of `grace` and 48 h, and a day of Firehose's
 * retries.
 */
export function backupDays(config: Config): number {
  return (
    config.journalDays +
    1 +
    LATEST_EVENT_DAYS +
    Math.max(2, Math.ceil(config.graceSeconds / 86_400)) +
    1
  );
}

/** PutLogEvents refuses older events. */
const LATEST_EVENT_DAYS = 14;

// The land function: notices of objects in landing/ and failed/, by a queue, become lines of day
// files.

import { Duration, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct, type IDependable } from 'constructs';

import { acknowledge } from './acknowledge.ts';
import { Alarm, FIVE_MINUTES, own, sum, uncalled } from './alarm.ts';
import type { Deployment } from './deployment.ts';
import { HiwakeFunction } from './function.ts';
import type { Network } from './network.ts';
import type { Packages } from './package.ts';
import type { Storage } from './storage.ts';

export interface LandProps {
  readonly packages: Packages;
  readonly deployment: Deployment;
  readonly network: Network;
  readonly storage: Storage;
  /** What the bucket waits for: takes at least the minute until a queue's policy surely holds. */
  readonly slow: IDependable;
}

const FIFTEEN_MINUTES = Duration.minutes(15);
const TIMEOUT = Duration.minutes(2);
/**
 * A notice that failed is retried when this has ended: a busy day file must not wait for six
 * time-outs.
 */
const VISIBILITY = TIMEOUT.plus(Duration.seconds(30));
/**
 * Over 8 hours: an evening without the file system puts no notice into the dead letters.
 * docs/replay.md, "Quarantine": an object that is denied is given up at the 100th.
 */
const RECEIVES = 200;
/** Full objects of the backup that land surely reads in its time (a test reckons it). */
const BATCH = 2;
/** A dead letter is deleted 14 days after S3 sent it; it was retried for hours before it died. */
const DEAD_TOO_LONG = Duration.days(7);

export class Land extends Construct {
  readonly function: lambda.Function;
  readonly notices: sqs.Queue;
  readonly dead: sqs.Queue;
  /** From its creation on, what is put into the stream lands. */
  readonly mapping: lambda.CfnEventSourceMapping;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: LandProps,
  ) {
    super(scope, id);
    const { storage } = props;
    // SSE-SQS: with the key that AWS manages for SQS, S3 could not put its notices in.
    const kept = {
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    };
    this.dead = new sqs.Queue(this, 'Dead', kept);
    this.notices = new sqs.Queue(this, 'Notices', {
      ...kept,
      visibilityTimeout: VISIBILITY,
      deadLetterQueue: { queue: this.dead, maxReceiveCount: RECEIVES },
    });
    this.notify(storage.delivery);
    this.function = new HiwakeFunction(this, 'Land', {
      packages: props.packages,
      package: 'land',
      what: 'land',
      description: 'hiwake: rows of delivered objects to lines of day files',
      // Measured (docs/cost.md): limits.buffer_bytes of rows, what they decode to, and the files'
      // pages.
      memoryMiB: 1024,
      timeout: TIMEOUT,
      logDays: props.deployment.logDays,
      files: props,
    }).function;
    this.grantReading();
    const source = new lambda.EventSourceMapping(this, 'Source', {
      target: this.function,
      eventSourceArn: this.notices.queueArn,
      batchSize: BATCH,
      maxConcurrency: props.deployment.concurrency,
      // Without it, what the answer names as failed would be taken for done.
      reportBatchItemFailures: true,
    });
    this.mapping = source.node.defaultChild as lambda.CfnEventSourceMapping;
    this.notices.grantConsumeMessages(this.function);
    this.alarms();
  }

  /**
   * The bucket's own property: CDK's addEventNotification would bring a function of its own into
   * the account.
   */
  private notify(bucket: s3.Bucket): void {
    const policy = this.notices.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('s3.amazonaws.com')],
        actions: ['sqs:SendMessage'],
        resources: [this.notices.queueArn],
        // S3 tries the queue when it makes the bucket, so the policy precedes the bucket and cannot
        // name it. A stack may take up a bucket of any name. Land's role reads no other bucket.
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    );
    const resource = bucket.node.defaultChild as s3.CfnBucket;
    resource.notificationConfiguration = {
      // ObjectCreated:*, since Firehose uploads large objects in parts.
      queueConfigurations: ['landing/', 'failed/'].map((prefix) => ({
        event: 's3:ObjectCreated:*',
        queue: this.notices.queueArn,
        filter: { s3Key: { rules: [{ name: 'prefix', value: prefix }] } },
      })),
    };
    if (policy.policyDependable)
      resource.node.addDependency(policy.policyDependable, this.props.slow);
  }

  private grantReading(): void {
    const { delivery, backup } = this.props.storage;
    const role = this.function.role as iam.Role;
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['s3:GetObject'],
        resources: [
          delivery.arnForObjects('landing/*'),
          delivery.arnForObjects('failed/*'),
          backup.arnForObjects('backup/*'),
        ],
      }),
    );
    // Without it S3 says "denied" of an object that is missing. Without a condition on the prefix,
    // too: a GetObject has none. Nothing else is in these buckets.
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['s3:ListBucket'],
        resources: [delivery.bucketArn, backup.bucketArn],
      }),
    );
    const idOf = (bucket: s3.Bucket): string =>
      Stack.of(this).getLogicalId(bucket.node.defaultChild as s3.CfnBucket);
    for (const [bucket, prefix] of [
      [delivery, 'landing'],
      [delivery, 'failed'],
      [backup, 'backup'],
    ] as const) {
      acknowledge(
        role,
        `AwsSolutions-IAM5[Resource::<${idOf(bucket)}.Arn>/${prefix}/*]`,
        'It lands whatever object is there; Firehose names them.',
      );
    }
  }

  private alarms(): void {
    new Alarm(this, 'land failing', {
      means: 'land ends with an error, or is throttled. Its notices are retried.',
      metric: sum({
        errors: this.function.metricErrors(),
        throttles: this.function.metricThrottles(),
      }),
      periods: 3,
    });
    new Alarm(this, 'land not running', {
      means: 'Notices wait, and land is not called.',
      metric: uncalled(
        this.notices.metricApproximateNumberOfMessagesVisible({ statistic: 'Minimum' }),
        this.function.metricInvocations(),
      ),
      periods: 3,
    });
    new Alarm(this, 'notices too old', {
      means: 'An object has not been landed for half an hour.',
      metric: this.notices.metricApproximateAgeOfOldestMessage({
        statistic: 'Maximum',
        period: FIVE_MINUTES,
      }),
      above: 1800,
      periods: 3,
    });
    // SQS leaves what was received three times out of the age of the oldest message.
    new Alarm(this, 'objects failing', {
      means: 'Objects have failed to land for an hour, and are retried.',
      metric: own(this, 'ObjectsFailed', { period: FIFTEEN_MINUTES }),
      periods: 4,
    });
    new Alarm(this, 'dead letters', {
      means: `A notice was given up after ${RECEIVES} deliveries. Its object is in S3, and not landed.`,
      metric: this.dead.metricApproximateNumberOfMessagesVisible({
        statistic: 'Maximum',
        period: FIVE_MINUTES,
      }),
    });
    new Alarm(this, 'dead letters expiring', {
      means: 'A dead letter has waited for a week. SQS deletes it when it is 14 days old.',
      metric: this.dead.metricApproximateAgeOfOldestMessage({
        statistic: 'Maximum',
        period: FIVE_MINUTES,
      }),
      above: DEAD_TOO_LONG.toSeconds(),
    });
    new Alarm(this, 'quarantine growing', {
      means: 'Rows, records or objects could not be landed, and were put into the quarantine.',
      metric: sum({ rows: own(this, 'RowsQuarantined'), objects: own(this, 'ObjectsQuarantined') }),
    });
  }
}

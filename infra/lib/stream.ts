// The Firehose stream: records from CloudWatch Logs become objects, transformed in landing/ and
// unchanged in backup/.

import { Duration, RemovalPolicy, Size, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as firehose from 'aws-cdk-lib/aws-kinesisfirehose';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

import { acknowledge } from './acknowledge.js';
import { Alarm, FIVE_MINUTES, uncalled } from './alarm.js';
import type { Deployment } from './deployment.js';
import { logGroupName, pipelineOf } from './names.js';
import type { Storage } from './storage.js';

export interface StreamProps {
  readonly deployment: Deployment;
  readonly storage: Storage;
  readonly transform: lambda.IFunction;
}

const BACKUP_BUFFER = Duration.minutes(15);

export class Stream extends Construct {
  readonly stream: firehose.DeliveryStream;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: StreamProps,
  ) {
    super(scope, id);
    const { deployment, storage, transform } = props;
    const logGroup = new logs.LogGroup(this, 'Logs', {
      logGroupName: logGroupName(pipelineOf(this).name, 'stream'),
      retention: deployment.logDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    // Without a condition, as in Firehose's guide.
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('firehose.amazonaws.com'),
    });
    const grants = this.grant(role, logGroup);
    const loggingConfig = new firehose.EnableLogging(logGroup);
    this.stream = new firehose.DeliveryStream(this, 'Stream', {
      deliveryStreamName: pipelineOf(this).name,
      encryption: firehose.StreamEncryption.awsOwnedKey(),
      destination: new firehose.S3Bucket(storage.delivery, {
        // CDK would also grant deletion.
        role: role.withoutPolicyUpdates(),
        processors: [
          new firehose.LambdaFunctionProcessor(transform, {
            // The answer to 1 MiB is smaller than 1 MiB. CDK does not write the size unless it is
            // set, and ignores 0 retries.
            bufferSize: Size.mebibytes(1),
            bufferInterval: Duration.minutes(1),
            retries: 3,
          }),
        ],
        // By the day of arrival in UTC, as in the backup, because Firehose does not accept the name
        // of every zone. Each row has the day of its event.
        dataOutputPrefix: 'landing/!{timestamp:yyyy/MM/dd}/',
        errorOutputPrefix: 'failed/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/',
        fileExtension: '.rows.zst',
        // Each record's rows are already a zstd frame.
        compression: firehose.Compression.UNCOMPRESSED,
        bufferingInterval: Duration.seconds(deployment.bufferSeconds),
        bufferingSize: Size.mebibytes(64),
        loggingConfig,
        // AWS never lets a stream switch this off again.
        s3Backup: {
          bucket: storage.backup,
          mode: firehose.BackupMode.ALL,
          // Its time is always UTC, and its objects get no extension. Records are already gzip, so
          // they are not compressed again.
          dataOutputPrefix: 'backup/!{timestamp:yyyy/MM/dd}/',
          errorOutputPrefix: 'backup-failed/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/',
          compression: firehose.Compression.UNCOMPRESSED,
          // Nothing waits for it, so it has few large objects.
          bufferingInterval: BACKUP_BUFFER,
          bufferingSize: Size.mebibytes(128),
          loggingConfig,
        },
      }),
    });
    this.stream.node.addDependency(grants);
    // CDK would retain the streams of a log group that is deleted.
    for (const one of logGroup.node.children) {
      if (one instanceof logs.LogStream) one.applyRemovalPolicy(RemovalPolicy.DESTROY);
    }
    // Only destinations in a VPC need this table of Firehose's addresses in every region.
    Stack.of(this).node.tryRemoveChild('@aws-cdk--aws-kinesisfirehose.CidrBlocks');
    this.alarms();
  }

  metric(metricName: string, props: cloudwatch.MetricOptions = {}): cloudwatch.Metric {
    return this.stream.metric(metricName, { statistic: 'Sum', period: FIVE_MINUTES, ...props });
  }

  /** Grants what Firehose's guide lists for S3, a processor and a log group, but no deletion. */
  private grant(role: iam.Role, logGroup: logs.LogGroup): iam.Policy {
    const { storage, transform } = this.props;
    const buckets: s3.IBucket[] = [storage.delivery, storage.backup];
    const policy = new iam.Policy(this, 'Grants', { roles: [role] });
    policy.addStatements(
      new iam.PolicyStatement({
        actions: ['s3:GetBucketLocation', 's3:ListBucket', 's3:ListBucketMultipartUploads'],
        resources: buckets.map((bucket) => bucket.bucketArn),
      }),
      new iam.PolicyStatement({
        actions: ['s3:AbortMultipartUpload', 's3:GetObject', 's3:PutObject'],
        resources: [
          ...['landing/*', 'failed/*'].map((prefix) => storage.delivery.arnForObjects(prefix)),
          ...['backup/*', 'backup-failed/*'].map((prefix) => storage.backup.arnForObjects(prefix)),
        ],
      }),
      new iam.PolicyStatement({
        actions: ['lambda:InvokeFunction', 'lambda:GetFunctionConfiguration'],
        resources: transform.resourceArnsForGrantInvoke,
      }),
      new iam.PolicyStatement({
        actions: ['logs:PutLogEvents'],
        resources: [logGroup.logGroupArn],
      }),
    );
    const stack = Stack.of(this);
    const idOf = (construct: Construct): string =>
      stack.getLogicalId(construct.node.defaultChild as never);
    const prefixes: [s3.IBucket, string][] = [
      [storage.delivery, 'landing'],
      [storage.delivery, 'failed'],
      [storage.backup, 'backup'],
      [storage.backup, 'backup-failed'],
    ];
    for (const [bucket, prefix] of prefixes) {
      acknowledge(
        policy,
        `AwsSolutions-IAM5[Resource::<${idOf(bucket)}.Arn>/${prefix}/*]`,
        "Firehose names its objects itself, under the stream's own prefixes.",
      );
    }
    acknowledge(
      policy,
      `AwsSolutions-IAM5[Resource::<${idOf(transform)}.Arn>:*]`,
      'Firehose calls the function as $LATEST.',
    );
    acknowledge(
      policy,
      `AwsSolutions-IAM5[Resource::<${idOf(logGroup)}.Arn>]`,
      "Firehose writes only to its own log group's streams.",
    );
    return policy;
  }

  private alarms(): void {
    new Alarm(this, 'delivery failing', {
      means: 'Firehose cannot write objects to S3. It drops records after 24 hours.',
      metric: this.failed('DeliveryToS3.Success', FIVE_MINUTES),
      periods: 3,
    });
    new Alarm(this, 'backup failing', {
      means: 'Firehose cannot write the source backup to S3. Records that are not in it cannot be replayed.',
      // Firehose writes it every 15 minutes. Of three periods of 5 minutes, two have no value, so
      // the alarm would never ring.
      metric: this.failed('BackupToS3.Success', BACKUP_BUFFER),
      periods: 2,
    });
    new Alarm(this, 'backup too old', {
      means:
        'Records have waited for the source backup far longer than its buffer. Firehose drops them after 24 hours.',
      metric: this.metric('BackupToS3.DataFreshness', { statistic: 'Maximum' }),
      above: 1800 + BACKUP_BUFFER.toSeconds(),
      periods: 3,
    });
    new Alarm(this, 'delivery too old', {
      means:
        'Records have waited in Firehose far longer than its buffers. It drops them after 24 hours.',
      metric: this.metric('DeliveryToS3.DataFreshness', { statistic: 'Maximum' }),
      above: 1800 + this.props.deployment.bufferSeconds,
      periods: 3,
    });
    new Alarm(this, 'stream throttled', {
      means:
        "More data arrives than the stream's quota allows. CloudWatch Logs retries for 24 hours.",
      metric: this.metric('ThrottledRecords'),
      periods: 3,
    });
    new Alarm(this, 'transform not running', {
      means: 'Records arrive, but transform is not called.',
      metric: uncalled(this.metric('IncomingRecords'), this.props.transform.metricInvocations()),
      periods: 3,
    });
  }

  /** The share of failures, from the share of successes; no value if nothing was tried. */
  private failed(metricName: string, period: Duration): cloudwatch.MathExpression {
    return new cloudwatch.MathExpression({
      expression: '1 - success',
      usingMetrics: { success: this.metric(metricName, { statistic: 'Average', period }) },
      period,
    });
  }
}

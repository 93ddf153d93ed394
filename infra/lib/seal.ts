// The seal function: a schedule calls land's package to seal the days that have ended.

import { Duration, Stack, TimeZone } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as destinations from 'aws-cdk-lib/aws-lambda-destinations';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import * as targets from 'aws-cdk-lib/aws-scheduler-targets';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

import { acknowledge } from './acknowledge.js';
import { Alarm, FIVE_MINUTES, own, sum } from './alarm.js';
import type { Config } from './config.js';
import type { Deployment } from './deployment.js';
import { HiwakeFunction } from './function.js';
import type { Network } from './network.js';
import type { Packages } from './package.js';
import type { Storage } from './storage.js';

export interface SealProps {
  readonly packages: Packages;
  readonly config: Config;
  readonly deployment: Deployment;
  readonly network: Network;
  readonly storage: Storage;
}

/** The event that the schedule sends to the function. */
export const SEAL_EVENT = { hiwake: 'seal' };

const HOUR = Duration.hours(1);

export class Seal extends Construct {
  readonly function: lambda.Function;
  /**
   * Runs that failed as a whole or could not be started. They are not in land's dead letters,
   * because those can be sent back into their queue.
   */
  readonly failed: sqs.Queue;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: SealProps,
  ) {
    super(scope, id);
    this.failed = new sqs.Queue(this, 'Failed', {
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    acknowledge(this.failed, 'AwsSolutions-SQS3', 'It is a dead-letter queue itself.');
    this.function = new HiwakeFunction(this, 'Seal', {
      packages: props.packages,
      package: 'land',
      what: 'seal',
      description: 'hiwake: seals the days that have ended',
      // A whole CPU, because it reads, merges and hashes whole days (docs/cost.md).
      // limits.merge_bytes × limits.parallel fit into the memory.
      memoryMiB: 1769,
      timeout: Duration.minutes(15),
      logDays: props.deployment.logDays,
      files: props,
    }).function;
    const sealed = props.deployment.tell.sealed;
    this.function.configureAsyncInvoke({
      // No retry: the next round does what is left, and announces what this one published.
      retryAttempts: 0,
      maxEventAge: HOUR,
      onFailure: new destinations.SqsDestination(this.failed),
      // After every round: a day that failed is in its `failed`, and SealFailed rings. Two rounds
      // list each publication.
      ...(sealed && {
        onSuccess: new destinations.SnsDestination(sns.Topic.fromTopicArn(this, 'Sealed', sealed)),
      }),
    });
    if (sealed && props.deployment.tell.key) this.allowKey(props.deployment.tell.key);
    this.schedule();
    this.alarms();
  }

  /**
   * Runs every hour: first when yesterday can be due, then for days that were busy or late. A day
   * is due `grace` after its last commit. That is one buffer after midnight, plus a few minutes of
   * the processor, the queue and land.
   */
  private schedule(): void {
    const { config, deployment } = this.props;
    const minute =
      (Math.ceil(config.graceSeconds / 60) + Math.ceil(deployment.bufferSeconds / 60) + 5) % 60;
    new scheduler.Schedule(this, 'Schedule', {
      description: 'hiwake: seals the days that have ended',
      schedule: scheduler.ScheduleExpression.cron({
        minute: `${minute}`,
        timeZone: TimeZone.of(this.props.config.timezone),
      }),
      target: new targets.LambdaInvoke(this.function, {
        input: scheduler.ScheduleTargetInput.fromObject(SEAL_EVENT),
        retryAttempts: 3,
        maxEventAge: HOUR,
        role: this.caller(),
        // For calls that Lambda did not accept. A run that failed gets there through the function's
        // own destination.
        deadLetterQueue: this.failed,
      }),
    });
  }

  /**
   * Lambda publishes answers to the topic with the function's role, and SNS needs the key for that.
   */
  private allowKey(key: string): void {
    const viaService = `sns.${Stack.of(this).region}.amazonaws.com`;
    this.function.addToRolePolicy(
      new iam.PolicyStatement({
        actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
        resources: [key],
        conditions: { StringEquals: { 'kms:ViaService': viaService } },
      }),
    );
  }

  private caller(): iam.Role {
    const conditions = { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } };
    const role = new iam.Role(this, 'Caller', {
      assumedBy: new iam.ServicePrincipal('scheduler.amazonaws.com', { conditions }),
    });
    const id = Stack.of(this).getLogicalId(this.function.node.defaultChild as lambda.CfnFunction);
    acknowledge(
      role,
      `AwsSolutions-IAM5[Resource::<${id}.Arn>:*]`,
      'CDK grants a function together with its versions.',
    );
    return role;
  }

  private alarms(): void {
    const { graceSeconds } = this.props.config;
    new Alarm(this, 'seal failing', {
      means:
        'Days could not be sealed, closed or removed for two rounds. Nothing is lost, and other days continue.',
      metric: sum(
        {
          days: own(this, 'SealFailed', { period: HOUR }),
          errors: this.function.metricErrors({ period: HOUR }),
        },
        HOUR,
      ),
      periods: 2,
    });
    new Alarm(this, 'days too old', {
      means:
        'A day that has ended has been waiting to be sealed for six hours longer than its grace.',
      metric: own(this, 'OldestUnsealedAge', { statistic: 'Maximum', period: HOUR }),
      above: graceSeconds + 6 * 3600,
    });
    new Alarm(this, 'seal runs lost', {
      means:
        'A run of seal failed as a whole or could not be started. The queue has its message.',
      metric: this.failed.metricApproximateNumberOfMessagesVisible({
        statistic: 'Maximum',
        period: FIVE_MINUTES,
      }),
    });
  }
}

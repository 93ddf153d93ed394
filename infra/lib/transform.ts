// The transform function: Firehose calls it with records, and delivers its answers.

import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

import { Alarm, own, sum } from './alarm.js';
import type { Deployment } from './deployment.js';
import { HiwakeFunction } from './function.js';
import type { Packages } from './package.js';

export interface TransformProps {
  readonly packages: Packages;
  readonly deployment: Deployment;
}

export class Transform extends Construct {
  readonly function: lambda.Function;

  constructor(scope: Construct, id: string, props: TransformProps) {
    super(scope, id);
    this.function = new HiwakeFunction(this, 'Transform', {
      packages: props.packages,
      package: 'transform',
      what: 'transform',
      description: 'hiwake: turns records of Firehose into labelled rows',
      // Measured (docs/cost.md): some 60 ms of CPU and 13 MiB for a batch of 1 MiB, so a quarter of
      // a CPU is fast enough.
      memoryMiB: 512,
      // Firehose waits for at most 5 minutes. A batch that takes one minute is broken and retried.
      timeout: Duration.minutes(1),
      logDays: props.deployment.logDays,
    }).function;
    this.alarms();
  }

  private alarms(): void {
    const errors = this.function.metricErrors();
    const throttles = this.function.metricThrottles();
    new Alarm(this, 'transform failing', {
      means:
        'transform fails or is throttled. Firehose retries, then delivers the batch to failed/, from where it lands.',
      metric: sum({ errors, throttles }),
    });
    new Alarm(this, 'records failing', {
      means: 'Records cannot be read. They are unchanged in failed/ and in the quarantine.',
      metric: new cloudwatch.MathExpression({
        // Records that did not fit into an answer land from failed/ without help.
        expression: 'SUM([FILL(failed, 0), 0 - FILL(overflow, 0)])',
        usingMetrics: { failed: own(this, 'RecordsFailed'), overflow: own(this, 'AnswerOverflow') },
      }),
    });
    new Alarm(this, 'events refused', {
      means:
        'Single events cannot become rows. They are in the quarantine, each with its reason.',
      metric: own(this, 'EventsRefused'),
    });
  }
}

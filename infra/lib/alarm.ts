// An alarm, with a link to the runbook's heading that says what to do.

import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';

import { pipelineOf } from './names.js';

export interface AlarmProps {
  /** What it means when it rings, in a sentence. */
  readonly means: string;
  readonly metric: cloudwatch.IMetric;
  /** Rings above this; default 0. */
  readonly above?: number;
  /** Rings below this instead. */
  readonly below?: number;
  /** For how many periods in a row, before it rings; default 1. */
  readonly periods?: number;
}

export class Alarm extends cloudwatch.Alarm {
  /** Its heading in docs/runbook.md, and the end of its name. */
  readonly heading: string;

  constructor(scope: Construct, heading: string, props: AlarmProps) {
    const { name, runbook } = pipelineOf(scope);
    super(scope, `Alarm ${heading}`, {
      alarmName: `${name}: ${heading}`,
      alarmDescription: `${props.means} What to do: ${runbook}#${slug(heading)}`,
      metric: props.metric,
      threshold: props.below ?? props.above ?? 0,
      comparisonOperator:
        props.below === undefined
          ? cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
          : cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: props.periods ?? 1,
      // Most counts are sent only when there is something to count. `countOrZero` detects silence.
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    this.heading = heading;
  }
}

/** A heading's anchor, as Markdown renderers derive it. */
export function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** One of the metrics that the binaries send: see docs/runbook.md and src/lambda/metrics.rs. */
export function own(
  scope: Construct,
  metricName: string,
  props: cloudwatch.MetricOptions = {},
): cloudwatch.Metric {
  const dimensionsMap = { Pipeline: pipelineOf(scope).name };
  return new cloudwatch.Metric({
    namespace: 'hiwake',
    metricName,
    dimensionsMap,
    statistic: 'Sum',
    period: FIVE_MINUTES,
    ...props,
  });
}

/**
 * The sum of metrics, each of which may be silent or may never have been sent: SUM skips those.
 */
export function sum(
  metrics: Record<string, cloudwatch.IMetric>,
  period: Duration = FIVE_MINUTES,
): cloudwatch.MathExpression {
  const expression = `SUM([${Object.keys(metrics)
    .map((name) => `FILL(${name}, 0)`)
    .join(', ')}])`;
  return new cloudwatch.MathExpression({ expression, usingMetrics: metrics, period });
}

/**
 * A count that is 0 while nothing is counted, for alarms on silence. `alive` is a metric that is
 * always sent once the pipeline exists. Before that nothing is missing, so no alarm rings.
 */
export function countOrZero(
  count: cloudwatch.IMetric,
  alive: cloudwatch.IMetric,
  period: Duration,
): cloudwatch.MathExpression {
  const expression = 'SUM([FILL(count, 0), 0 * alive])';
  return new cloudwatch.MathExpression({ expression, usingMetrics: { count, alive }, period });
}

/**
 * 1 while there is work and the function is not called. A function that was never called has never
 * sent Invocations, so FILL alone has nothing to fill.
 */
export function uncalled(
  asked: cloudwatch.IMetric,
  calls: cloudwatch.IMetric,
): cloudwatch.MathExpression {
  const expression = 'IF(asked > 0 AND SUM([FILL(calls, 0), 0 * asked]) == 0, 1, 0)';
  return new cloudwatch.MathExpression({
    expression,
    usingMetrics: { asked, calls },
    period: FIVE_MINUTES,
  });
}

export const FIVE_MINUTES = Duration.minutes(5);

// Metrics that were never sent. FILL has nothing to fill then, and an expression with such a metric
// has no value, so no alarm rings. Only SUM([…]) skips what is missing.

import { describe, expect, test } from 'vitest';

import { resources, templateOf } from './pipeline.js';

const alarms = resources(templateOf(), 'AWS::CloudWatch::Alarm').map((one) => one.Properties);

/** Whether an alarm rings if only these of its metrics were ever sent, each with one value. */
function rings(heading: string, sent: Record<string, number>): boolean {
  const alarm = alarms.find((one) => one.AlarmName === `hiwake: ${heading}`);
  const { Expression } = alarm.Metrics.find((one: any) => one.Expression);
  const ids: string[] = alarm.Metrics.filter((one: any) => one.MetricStat).map((one: any) => one.Id);
  expect(ids).toEqual(expect.arrayContaining(Object.keys(sent)));
  const value = evaluated(Expression, Object.fromEntries(ids.map((id) => [id, sent[id] ?? NaN])));
  // NaN is "no value": it is neither above nor below, and missing data is not breaching.
  return alarm.ComparisonOperator === 'LessThanThreshold'
    ? value < alarm.Threshold
    : value > alarm.Threshold;
}

function evaluated(expression: string, metrics: Record<string, number>): number {
  const functions = {
    // A metric that was never sent has nothing to fill; one that was sent has a value here.
    FILL: (metric: number) => metric,
    SUM: (all: number[]) => {
      const there = all.filter((one) => !Number.isNaN(one));
      return there.length === 0 ? NaN : there.reduce((sum, one) => sum + one, 0);
    },
    IF: (condition: boolean, yes: number, no: number) => (condition ? yes : no),
  };
  const names = { ...functions, ...metrics };
  const script = expression.replaceAll(' AND ', ' && ');
  return new Function(...Object.keys(names), `return ${script}`)(...Object.values(names));
}

describe('an alarm on metric math rings even if one of its metrics was never sent', () => {
  test.each<[string, Record<string, number>, string]>([
    ['transform not running', { asked: 5 }, 'it was never called'],
    ['land not running', { asked: 3 }, 'it was never called'],
    ['records failing', { failed: 1 }, 'no answer was ever too large'],
    ['seal not running', { alive: 0 }, 'it was never called'],
    ['no records', { alive: 0 }, 'no record has ever arrived'],
    ['quarantine growing', { objects: 1 }, 'no row was ever put there'],
    ['quarantine growing', { rows: 1 }, 'no object was ever put there'],
    ['seal failing', { errors: 1 }, 'no day has ever failed'],
    ['land failing', { errors: 1 }, 'it was never throttled'],
    ['transform failing', { throttles: 1 }, 'it has never failed'],
    ['delivery failing', { success: 0.5 }, 'there is one metric'],
    ['backup failing', { success: 0.5 }, 'there is one metric'],
  ])('%s: %o (%s)', (heading, sent, _) => {
    expect(rings(heading, sent)).toBe(true);
  });

  test('all alarms on metric math are tried above', () => {
    const math = alarms.filter((one) => one.Metrics?.some((each: any) => each.MetricStat));
    expect(math.map((one) => one.AlarmName.replace('hiwake: ', '')).sort()).toEqual([
      'backup failing',
      'delivery failing',
      'land failing',
      'land not running',
      'no records',
      'quarantine growing',
      'records failing',
      'seal failing',
      'seal not running',
      'transform failing',
      'transform not running',
    ]);
  });
});

describe('an alarm on metric math does not ring otherwise', () => {
  test.each<[string, Record<string, number>]>([
    ['transform not running', { asked: 5, calls: 2 }],
    ['transform not running', { asked: 0 }],
    ['transform not running', {}],
    ['land not running', { asked: 3, calls: 1 }],
    ['land not running', { asked: 0 }],
    ['records failing', { failed: 2, overflow: 2 }],
    ['records failing', { overflow: 2 }],
    ['records failing', {}],
    ['seal not running', { alive: 0, count: 1 }],
    ['seal not running', {}],
    ['no records', {}],
  ])('%s: %o', (heading, sent) => {
    expect(rings(heading, sent)).toBe(false);
  });
});

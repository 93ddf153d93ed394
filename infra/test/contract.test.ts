// What the app says to the binaries, and what it expects of them, is what they read and send.

import { describe, expect, test } from 'vitest';

import { Alarm, slug } from '../lib/alarm.ts';
import { projectFile, READERS, resources, stackOf, templateOf, text } from './pipeline.ts';

const template = templateOf({ deployment: READERS });
const runbook = projectFile('docs/runbook.md');

describe('environment', () => {
  // Kept equal to `hiwake config env --json` by tests/it/infra.rs.
  const read: string[] = JSON.parse(projectFile('infra/contract/environment.json')).map((one: { name: string }) => one.name);
  /** Whose defaults hold: the file is beside the binary, and the level is Lambda's to say. */
  const left = ['HIWAKE_CONFIG', 'AWS_LAMBDA_LOG_LEVEL'];

  test('every variable that the binaries read is set or left alone on purpose, and no other is set', () => {
    const functions = resources(template, 'AWS::Lambda::Function');
    const set = new Set(functions.flatMap((one) => Object.keys(one.Properties.Environment.Variables)));
    expect([...set, ...left].sort()).toEqual([...read].sort());
  });

  test('land and seal are told of the root, all of the pipeline', () => {
    for (const { Properties: one } of resources(template, 'AWS::Lambda::Function')) {
      const variables = { HIWAKE_PIPELINE: 'hiwake', ...(one.FunctionName !== 'hiwake-transform' && { HIWAKE_ROOT: '/mnt/hiwake' }) };
      expect(one.Environment.Variables).toEqual(variables);
    }
  });
});

describe('metrics', () => {
  // The table is kept equal to src/metrics.rs by tests/it/metrics.rs.
  const sent = new Set([...runbook.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name));
  const dashboard = JSON.parse(text(only('AWS::CloudWatch::Dashboard').DashboardBody));

  function only(type: string): Record<string, unknown> {
    const [one] = resources(template, type);
    return one?.Properties;
  }

  test('alarms watch what is sent, of this pipeline', () => {
    const watched = resources(template, 'AWS::CloudWatch::Alarm').flatMap(({ Properties: alarm }) => [
      alarm, ...(alarm.Metrics ?? []).map((one: { MetricStat?: { Metric: unknown } }) => one.MetricStat?.Metric ?? {}),
    ]);
    const own = watched.filter((one) => one.Namespace === 'hiwake');
    expect(own.length).toBeGreaterThan(5);
    for (const one of own) {
      expect(sent).toContain(one.MetricName);
      expect(one.Dimensions).toEqual([{ Name: 'Pipeline', Value: 'hiwake' }]);
    }
  });

  test('the dashboard shows what is sent, and every row and event of the balance', () => {
    const shown = dashboard.widgets.flatMap((one: { properties: { metrics?: unknown[][] } }) => one.properties.metrics ?? []);
    const own = shown.filter(([namespace]: string[]) => namespace === 'hiwake').map(([, name]: string[]) => name);
    for (const name of own) expect(sent).toContain(name);
    expect(own).toEqual(expect.arrayContaining(['EventsIn', 'RowsOut', 'RowsIn', 'RowsLanded', 'RowsDuplicate', 'RowsLate', 'Sealed', 'OldestUnsealedAge']));
  });

  test('all alarms are on the dashboard', () => {
    const status = dashboard.widgets.find((one: { type: string }) => one.type === 'alarm');
    expect(status.properties.alarms).toHaveLength(resources(template, 'AWS::CloudWatch::Alarm').length);
  });
});

describe('alarms', () => {
  const { stack } = stackOf({ deployment: 'runbook = "https://example.com/runbook.md"' });
  const alarms = stack.node.findAll().filter((one) => one instanceof Alarm);
  const anchors = [...runbook.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading ?? ''));

  test.each(alarms.map((alarm) => [alarm.heading, alarm] as const))('%s: the runbook says what to do', (heading) => {
    expect(anchors).toContain(slug(heading));
    const [one] = resources(template, 'AWS::CloudWatch::Alarm').filter((each) => each.Properties.AlarmName === `hiwake: ${heading}`);
    expect(one?.Properties.AlarmDescription).toMatch(new RegExp(`docs/runbook.md#${slug(heading)}$`));
  });

  test('one for each way to stop: failing, not running, too old', () => {
    expect(alarms.map((alarm) => alarm.heading).sort()).toEqual([
      'backup failing', 'days too old', 'dead letters', 'delivery failing', 'delivery too old', 'land failing', 'land not running',
      'logs not delivered', 'logs throttled', 'notices too old', 'quarantine growing', 'records failing', 'seal failing', 'seal not running',
      'seal runs lost', 'stream throttled', 'transform failing', 'transform not running',
    ]);
  });

  test('a sum does not fall silent with one of its metrics: quarantined objects are counted only when there are any', () => {
    const [alarm] = resources(template, 'AWS::CloudWatch::Alarm', 'quarantine');
    expect(alarm?.Properties.Metrics[0].Expression).toBe('SUM([FILL(rows, 0), FILL(objects, 0)])');
  });

  test('silence rings where silence is the fault, and nowhere else', () => {
    const silent = resources(template, 'AWS::CloudWatch::Alarm').filter((one) => one.Properties.TreatMissingData !== 'notBreaching');
    expect(silent.map((one) => one.Properties.AlarmName)).toEqual(['hiwake: seal not running']);
  });

  test('one query for all log groups; with an account policy, for all of the account', () => {
    const queries = (hiwake: string): string[] => {
      const alarms = resources(templateOf({ hiwake }), 'AWS::CloudWatch::Alarm', 'logs');
      return alarms.flatMap((one) => one.Properties.Metrics).map((one: { Expression: string }) => one.Expression);
    };
    expect(queries('[[source]]\nlog_groups = ["/a", "/b"]')).toEqual([
      `SELECT SUM(DeliveryErrors) FROM "AWS/Logs" WHERE FilterName = 'hiwake'`,
      `SELECT SUM(DeliveryThrottling) FROM "AWS/Logs" WHERE FilterName = 'hiwake'`,
    ]);
    expect(queries('[[source]]\nlog_groups = ["*"]\nsubscribe = "account"')[0]).toBe('SELECT SUM(DeliveryErrors) FROM "AWS/Logs"');
  });

  test('they tell a topic, if there is one', () => {
    const topic = 'arn:aws:sns:ap-northeast-1:123456789012:alarms';
    for (const one of resources(templateOf({ deployment: `[tell]\nalarms = "${topic}"` }), 'AWS::CloudWatch::Alarm')) {
      expect(one.Properties).toMatchObject({ AlarmActions: [topic], OKActions: [topic] });
    }
    for (const one of resources(template, 'AWS::CloudWatch::Alarm')) expect(one.Properties.AlarmActions).toBeUndefined();
  });
});

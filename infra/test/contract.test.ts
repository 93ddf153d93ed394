// The app sets what the binaries read, and watches what they send.

import { describe, expect, test } from 'vitest';

import { Alarm, slug } from '../lib/alarm.js';
import { projectFile, READERS, resources, stackOf, templateOf, text, VPC } from './pipeline.js';

const template = templateOf({ deployment: READERS });
const runbook = projectFile('docs/runbook.md');

describe('environment', () => {
  // tests/it/infra.rs keeps this equal to `hiwake config env --json`.
  const read: string[] = JSON.parse(projectFile('infra/contract/environment.json')).map(
    (one: { name: string }) => one.name,
  );
  /**
   * Variables that the app does not set: the file is beside the binary, Lambda sets level and
   * region, and only the command line has a home.
   */
  const left = ['HIWAKE_CONFIG', 'AWS_LAMBDA_LOG_LEVEL', 'AWS_REGION', 'HOME'];

  test('every variable that the binaries read is set or deliberately left alone, and no other is set', () => {
    const functions = resources(template, 'AWS::Lambda::Function');
    const set = new Set(
      functions.flatMap((one) => Object.keys(one.Properties.Environment.Variables)),
    );
    expect([...set, ...left].sort()).toEqual([...read].sort());
  });

  test('land and seal get the root, and all functions the pipeline', () => {
    for (const { Properties: one } of resources(template, 'AWS::Lambda::Function')) {
      const variables = {
        HIWAKE_PIPELINE: 'hiwake',
        ...(one.FunctionName !== 'hiwake-transform' && { HIWAKE_ROOT: '/mnt/hiwake' }),
      };
      expect(one.Environment.Variables).toEqual(variables);
    }
  });
});

describe('metrics', () => {
  // tests/it/metrics.rs keeps the list equal to src/lambda/metrics.rs.
  const [listed] = runbook.split('\n## Alarms\n');
  const sent = new Set([...(listed ?? '').matchAll(/^\* `(\w+)`/gm)].map(([, name]) => name));
  const dashboard = JSON.parse(text(only('AWS::CloudWatch::Dashboard').DashboardBody));

  function only(type: string): Record<string, unknown> {
    const [one] = resources(template, type);
    return one?.Properties;
  }

  test('alarms watch metrics that are sent, with this pipeline as dimension', () => {
    const watched = resources(template, 'AWS::CloudWatch::Alarm').flatMap(
      ({ Properties: alarm }) => [
        alarm,
        ...(alarm.Metrics ?? []).map(
          (one: { MetricStat?: { Metric: unknown } }) => one.MetricStat?.Metric ?? {},
        ),
      ],
    );
    const own = watched.filter((one) => one.Namespace === 'hiwake');
    expect(own.length).toBeGreaterThan(5);
    for (const one of own) {
      expect(sent).toContain(one.MetricName);
      expect(one.Dimensions).toEqual([{ Name: 'Pipeline', Value: 'hiwake' }]);
    }
  });

  test('the dashboard shows metrics that are sent, and every row and event of the balance', () => {
    const shown = dashboard.widgets.flatMap(
      (one: { properties: { metrics?: unknown[][] } }) => one.properties.metrics ?? [],
    );
    const own = shown
      .filter(([namespace]: string[]) => namespace === 'hiwake')
      .map(([, name]: string[]) => name);
    for (const name of own) expect(sent).toContain(name);
    expect(own).toEqual(
      expect.arrayContaining([
        'EventsIn',
        'RowsOut',
        'RowsIn',
        'RowsLanded',
        'RowsDuplicate',
        'RowsLate',
        'Sealed',
        'OldestUnsealedAge',
      ]),
    );
  });

  test('all alarms are on the dashboard', () => {
    const status = dashboard.widgets.find((one: { type: string }) => one.type === 'alarm');
    expect(status.properties.alarms).toHaveLength(
      resources(template, 'AWS::CloudWatch::Alarm').length,
    );
  });
});

describe('alarms', () => {
  const { stack } = stackOf({ deployment: 'runbook = "https://example.com/runbook.md"' });
  const alarms = stack.node.findAll().filter((one) => one instanceof Alarm);
  const anchors = [...runbook.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading ?? ''));

  test.each(alarms.map((alarm) => [alarm.heading, alarm] as const))(
    '%s: the runbook says what to do',
    (heading) => {
      expect(anchors).toContain(slug(heading));
      const [one] = resources(template, 'AWS::CloudWatch::Alarm').filter(
        (each) => each.Properties.AlarmName === `hiwake: ${heading}`,
      );
      expect(one?.Properties.AlarmDescription).toMatch(
        new RegExp(`docs/runbook.md#${slug(heading)}$`),
      );
    },
  );

  test('there is an alarm for each way to stop: failing, not running, too old', () => {
    expect(alarms.map((alarm) => alarm.heading).sort()).toEqual([
      'backup failing',
      'backup too old',
      'days too old',
      'dead letters',
      'dead letters expiring',
      'delivery failing',
      'delivery too old',
      'events refused',
      'file system busy',
      'file system costs',
      'land failing',
      'land not running',
      'logs not delivered',
      'logs throttled',
      'no records',
      'notices too old',
      'objects failing',
      'quarantine growing',
      'records failing',
      'seal failing',
      'seal not running',
      'seal runs lost',
      'stream throttled',
      'transform failing',
      'transform not running',
    ]);
  });

  test('`hiwake doctor` asks for the alarms that every deployment has', () => {
    const existing = `${VPC}[efs]\nfile_system_id = "fs-0aaaaaaa"\nsecurity_group_id = "sg-0eeeeeee"`;
    const quiet = '[stream]\nsilence_hours = 0\n[efs]\nmetered_gb = 0';
    const ways = [existing, quiet, '[efs]\nthroughput = "bursting"'].map((deployment) =>
      resources(templateOf({ deployment }), 'AWS::CloudWatch::Alarm').map((one) =>
        heading(one.Properties),
      ),
    );
    const always = alarms.map((one) => one.heading).sort();
    // tests/it/infra.rs keeps this equal to `ALARMS` of src/aws/cloudwatch.rs.
    expect(JSON.parse(projectFile('infra/contract/alarms.json'))).toEqual(
      always.filter((one) => ways.every((way) => way.includes(one))),
    );
  });

  test('each alarm has its metrics, dimensions, statistics, periods and threshold', () => {
    const watched = resources(template, 'AWS::CloudWatch::Alarm').map(({ Properties }) => [
      heading(Properties),
      watches(Properties),
    ]);
    expect(Object.fromEntries(watched)).toEqual(WATCHED);
    // An alarm is billed for each of its metrics, and docs/cost.md counts these.
    const billed = Object.values(WATCHED)
      .flat()
      .filter((line) => /\}|SELECT/.test(line));
    expect(projectFile('benches/cost/table.py')).toContain(`+ ${billed.length} * price["alarm"]`);
  });

  test('bursting throughput has an alarm that rings while an hour at 100 MiB/s is left', () => {
    const bursting = templateOf({ deployment: '[efs]\nthroughput = "bursting"' });
    const watched = resources(bursting, 'AWS::CloudWatch::Alarm').map(({ Properties }) => [
      heading(Properties),
      watches(Properties),
    ]);
    const { 'file system costs': _, ...others } = WATCHED;
    expect(Object.fromEntries(watched)).toEqual({
      ...others,
      'burst credits low': [
        'AWS/EFS BurstCreditBalance {FileSystemId=<StorageFiles>} Minimum 300',
        `< ${3600 * 100 * 1024 ** 2}, 1`,
      ],
    });
    const [alarm] = resources(bursting, 'AWS::CloudWatch::Alarm', 'burst');
    expect(alarm?.Properties.AlarmDescription).toMatch(/docs\/runbook.md#burst-credits-low$/);
    expect(anchors).toContain('burst-credits-low');
    const status = JSON.parse(
      text(resources(bursting, 'AWS::CloudWatch::Dashboard')[0]?.Properties.DashboardBody),
    ).widgets[0];
    expect(status.properties.alarms).toHaveLength(Object.keys(WATCHED).length);
  });

  test('a sum survives a silent metric: quarantined objects are counted only when there are any', () => {
    const [alarm] = resources(template, 'AWS::CloudWatch::Alarm', 'quarantine');
    expect(alarm?.Properties.Metrics[0].Expression).toBe('SUM([FILL(rows, 0), FILL(objects, 0)])');
  });

  test('missing data rings no alarm: a first deployment is quiet', () => {
    for (const { Properties } of resources(template, 'AWS::CloudWatch::Alarm')) {
      expect(Properties.TreatMissingData, Properties.AlarmName).toBe('notBreaching');
    }
  });

  test('silence counts as zero, from the first hour in which Lambda polls the queue', () => {
    // It takes three hours of zeros. The schedule calls every hour, so the first hours do not ring.
    const { Properties } = only_('seal not running');
    expect([Properties.EvaluationPeriods, Properties.Metrics[0].Expression]).toEqual([
      3,
      'SUM([FILL(count, 0), 0 * alive])',
    ]);
  });

  test('silence_hours sets how long the stream may be silent; 0 makes no alarm', () => {
    const named = (deployment: string): any[] =>
      resources(templateOf({ deployment }), 'AWS::CloudWatch::Alarm', 'norecords');
    expect(named('[stream]\nsilence_hours = 6')[0].Properties.EvaluationPeriods).toBe(6);
    expect(named('[stream]\nsilence_hours = 0')).toEqual([]);
    // CloudWatch: "no longer than seven days".
    const [week] = named('[stream]\nsilence_hours = 168');
    expect(week.Properties.EvaluationPeriods * 3600).toBe(604_800);
    expect(() => named('[stream]\nsilence_hours = 169')).toThrow(
      'stream.silence_hours: write 0 to 168',
    );
  });

  test('metered_gb sets the alarm on what EFS meters; bursting and 0 make none', () => {
    const named = (efs: string): any[] =>
      resources(
        templateOf({ deployment: `[efs]\n${efs}` }),
        'AWS::CloudWatch::Alarm',
        'filesystemcosts',
      );
    expect(named('metered_gb = 20')[0].Properties).toMatchObject({
      Threshold: 20e9,
      Period: 86_400,
    });
    expect([...named('metered_gb = 0'), ...named('throughput = "bursting"')]).toEqual([]);
  });

  function only_(heading: string): any {
    return resources(template, 'AWS::CloudWatch::Alarm').find(
      (one) => one.Properties.AlarmName === `hiwake: ${heading}`,
    );
  }

  test('one query watches all log groups; with an account policy, the whole account', () => {
    const queries = (hiwake: string): string[] => {
      const alarms = resources(templateOf({ hiwake }), 'AWS::CloudWatch::Alarm', 'logs');
      return alarms
        .flatMap((one) => one.Properties.Metrics)
        .map((one: { Expression: string }) => one.Expression);
    };
    expect(queries('[[source]]\nlog_groups = ["/a", "/b"]')).toEqual([
      `SELECT SUM(DeliveryErrors) FROM "AWS/Logs" WHERE FilterName = 'hiwake/'`,
      `SELECT SUM(DeliveryThrottling) FROM "AWS/Logs" WHERE FilterName = 'hiwake/'`,
    ]);
    expect(queries('[[source]]\nlog_groups = ["*"]\nsubscribe = "account"')[0]).toBe(
      'SELECT SUM(DeliveryErrors) FROM "AWS/Logs"',
    );
  });

  test('alarms notify the topic, if there is one', () => {
    const topic = 'arn:aws:sns:ap-northeast-1:123456789012:alarms';
    for (const one of resources(
      templateOf({ deployment: `[tell]\nalarms = "${topic}"` }),
      'AWS::CloudWatch::Alarm',
    )) {
      expect(one.Properties).toMatchObject({ AlarmActions: [topic], OKActions: [topic] });
    }
    for (const one of resources(template, 'AWS::CloudWatch::Alarm'))
      expect(one.Properties.AlarmActions).toBeUndefined();
  });
});

function heading(alarm: { AlarmName: string }): string {
  return alarm.AlarmName.replace('hiwake: ', '');
}

/**
 * An alarm as a few lines: its metrics with dimension, statistic and seconds, then the expression,
 * then threshold and periods.
 */
function watches(alarm: any): string[] {
  const metric = (
    { Namespace, MetricName, Dimensions }: any,
    stat: string,
    period: number,
  ): string => {
    const dimensions = (Dimensions ?? []).map(
      (one: any) => `${one.Name}=${text(one.Value).replace(/[0-9A-F]{8}(?=[.>])/, '')}`,
    );
    return `${Namespace} ${MetricName} {${dimensions.join(', ')}} ${stat} ${period}`;
  };
  const rings = `${COMPARISON[alarm.ComparisonOperator]} ${alarm.Threshold}, ${alarm.EvaluationPeriods}`;
  if (!alarm.Metrics) return [metric(alarm, alarm.Statistic, alarm.Period), rings];
  const parts = alarm.Metrics.map((one: any) =>
    one.Expression === undefined
      ? `${one.Id}: ${metric(one.MetricStat.Metric, one.MetricStat.Stat, one.MetricStat.Period)}`
      : `${one.Expression}${one.Period ? ` ${one.Period}` : ''}`,
  );
  return [...parts, rings];
}

const COMPARISON: Record<string, string> = { GreaterThanThreshold: '>', LessThanThreshold: '<' };

const WATCHED: Record<string, string[]> = {
  'backup failing': [
    '1 - success',
    'success: AWS/Firehose BackupToS3.Success {DeliveryStreamName=<Stream>} Average 900',
    '> 0, 2',
  ],
  'backup too old': [
    'AWS/Firehose BackupToS3.DataFreshness {DeliveryStreamName=<Stream>} Maximum 300',
    '> 2700, 3',
  ],
  'days too old': ['hiwake OldestUnsealedAge {Pipeline=hiwake} Maximum 3600', '> 25200, 1'],
  'dead letters': [
    'AWS/SQS ApproximateNumberOfMessagesVisible {QueueName=<LandDead.QueueName>} Maximum 300',
    '> 0, 1',
  ],
  'dead letters expiring': [
    'AWS/SQS ApproximateAgeOfOldestMessage {QueueName=<LandDead.QueueName>} Maximum 300',
    '> 604800, 1',
  ],
  'delivery failing': [
    '1 - success',
    'success: AWS/Firehose DeliveryToS3.Success {DeliveryStreamName=<Stream>} Average 300',
    '> 0, 3',
  ],
  'delivery too old': [
    'AWS/Firehose DeliveryToS3.DataFreshness {DeliveryStreamName=<Stream>} Maximum 300',
    '> 2100, 3',
  ],
  'events refused': ['hiwake EventsRefused {Pipeline=hiwake} Sum 300', '> 0, 1'],
  'file system busy': [
    'AWS/EFS PercentIOLimit {FileSystemId=<StorageFiles>} Maximum 300',
    '> 80, 3',
  ],
  'file system costs': [
    'AWS/EFS MeteredIOBytes {FileSystemId=<StorageFiles>} Sum 86400',
    '> 500000000000, 1',
  ],
  'land failing': [
    'SUM([FILL(errors, 0), FILL(throttles, 0)])',
    'errors: AWS/Lambda Errors {FunctionName=<LandFunction>} Sum 300',
    'throttles: AWS/Lambda Throttles {FunctionName=<LandFunction>} Sum 300',
    '> 0, 3',
  ],
  'land not running': [
    'IF(asked > 0 AND SUM([FILL(calls, 0), 0 * asked]) == 0, 1, 0)',
    'asked: AWS/SQS ApproximateNumberOfMessagesVisible {QueueName=<LandNotices.QueueName>} Minimum 300',
    'calls: AWS/Lambda Invocations {FunctionName=<LandFunction>} Sum 300',
    '> 0, 3',
  ],
  'logs not delivered': [
    `SELECT SUM(DeliveryErrors) FROM "AWS/Logs" WHERE FilterName = 'hiwake/' 300`,
    '> 0, 1',
  ],
  'logs throttled': [
    `SELECT SUM(DeliveryThrottling) FROM "AWS/Logs" WHERE FilterName = 'hiwake/' 300`,
    '> 0, 3',
  ],
  'no records': [
    'SUM([FILL(count, 0), 0 * alive])',
    'count: AWS/Firehose IncomingRecords {DeliveryStreamName=<Stream>} Sum 3600',
    'alive: AWS/SQS ApproximateNumberOfMessagesVisible {QueueName=<LandNotices.QueueName>} Maximum 3600',
    '< 1, 24',
  ],
  'notices too old': [
    'AWS/SQS ApproximateAgeOfOldestMessage {QueueName=<LandNotices.QueueName>} Maximum 300',
    '> 1800, 3',
  ],
  'objects failing': ['hiwake ObjectsFailed {Pipeline=hiwake} Sum 900', '> 0, 4'],
  'quarantine growing': [
    'SUM([FILL(rows, 0), FILL(objects, 0)])',
    'rows: hiwake RowsQuarantined {Pipeline=hiwake} Sum 300',
    'objects: hiwake ObjectsQuarantined {Pipeline=hiwake} Sum 300',
    '> 0, 1',
  ],
  'records failing': [
    'SUM([FILL(failed, 0), 0 - FILL(overflow, 0)])',
    'failed: hiwake RecordsFailed {Pipeline=hiwake} Sum 300',
    'overflow: hiwake AnswerOverflow {Pipeline=hiwake} Sum 300',
    '> 0, 1',
  ],
  'seal failing': [
    'SUM([FILL(days, 0), FILL(errors, 0)])',
    'days: hiwake SealFailed {Pipeline=hiwake} Sum 3600',
    'errors: AWS/Lambda Errors {FunctionName=<SealFunction>} Sum 3600',
    '> 0, 2',
  ],
  'seal not running': [
    'SUM([FILL(count, 0), 0 * alive])',
    'count: AWS/Lambda Invocations {FunctionName=<SealFunction>} Sum 3600',
    'alive: AWS/SQS ApproximateNumberOfMessagesVisible {QueueName=<LandNotices.QueueName>} Maximum 3600',
    '< 1, 3',
  ],
  'seal runs lost': [
    'AWS/SQS ApproximateNumberOfMessagesVisible {QueueName=<SealFailed.QueueName>} Maximum 300',
    '> 0, 1',
  ],
  'stream throttled': [
    'AWS/Firehose ThrottledRecords {DeliveryStreamName=<Stream>} Sum 300',
    '> 0, 3',
  ],
  'transform failing': [
    'SUM([FILL(errors, 0), FILL(throttles, 0)])',
    'errors: AWS/Lambda Errors {FunctionName=<TransformFunction>} Sum 300',
    'throttles: AWS/Lambda Throttles {FunctionName=<TransformFunction>} Sum 300',
    '> 0, 1',
  ],
  'transform not running': [
    'IF(asked > 0 AND SUM([FILL(calls, 0), 0 * asked]) == 0, 1, 0)',
    'asked: AWS/Firehose IncomingRecords {DeliveryStreamName=<Stream>} Sum 300',
    'calls: AWS/Lambda Invocations {FunctionName=<TransformFunction>} Sum 300',
    '> 0, 3',
  ],
};

import { Aspects, CfnResource } from 'aws-cdk-lib';
import { describe, expect, test } from 'vitest';

import { readConfig } from '../lib/config.js';
import { planned } from '../lib/subscriptions.js';
import {
  idsOf,
  madeBefore,
  only,
  PLAIN,
  projectFile,
  READERS,
  resources,
  statements,
  stackOf,
  templateOf,
  text,
} from './pipeline.js';

function source(logGroups: string[], rest = ''): string {
  return `[[source]]\nlog_groups = ${JSON.stringify(logGroups)}\n${rest}\n`;
}

function filters(hiwake: string): string[][] {
  const found = resources(templateOf({ hiwake }), 'AWS::Logs::SubscriptionFilter').map(
    (one) => one.Properties,
  );
  return found.map((one) => [one.LogGroupName, one.FilterPattern]);
}

const OTHERS = READERS.replace('[readers]', 'route_table_ids = ["rtb-0aaaaaaa"]\n[readers]');

describe('subscribe = "filter"', () => {
  test('a filter for each named log group, with its pattern', () => {
    const hiwake =
      source(['/a', '/b']) + source(['/c'], `filter_pattern = '{ $.level = "ERROR" }'`);
    expect(filters(hiwake)).toEqual([
      ['/a', ''],
      ['/b', ''],
      ['/c', '{ $.level = "ERROR" }'],
    ]);
  });

  test('the role is for this account’s logs only, and may do nothing but put records', () => {
    const template = templateOf();
    const { Statement } = only(template, 'AWS::IAM::Role', 'Subscriptions').Properties
      .AssumeRolePolicyDocument;
    expect(Statement[0].Principal).toEqual({ Service: 'logs.amazonaws.com' });
    expect(text(Statement[0].Condition.StringLike['aws:SourceArn'])).toBe(
      'arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:*',
    );
    expect(statements(template, 'Subscriptions').map((one) => one.Action)).toEqual([
      ['firehose:PutRecord', 'firehose:PutRecordBatch'],
    ]);
  });

  test.each([
    ['a filter', PLAIN, 'AWS::Logs::SubscriptionFilter'],
    ['the account policy', source(['*'], 'subscribe = "account"'), 'AWS::Logs::AccountPolicy'],
    ['a filter, in a VPC that others own', PLAIN, 'AWS::Logs::SubscriptionFilter', OTHERS],
  ])(
    '%s comes last, and its role’s policy long before: CloudWatch Logs tests it at once, and only once',
    (_, hiwake, type, deployment = '') => {
      const template = templateOf({ hiwake, deployment });
      const [subscription = ''] = idsOf(template, type);
      const before = madeBefore(template, subscription);
      // Bucket policies, the S3 endpoint and the schedule were not before it: an event came that
      // nobody could carry, read or seal.
      const { [subscription]: _last, ...others } = template.toJSON().Resources;
      expect([...before].sort()).toEqual(Object.keys(others).sort());
      const [policy = ''] = idsOf(template, 'AWS::IAM::Policy', 'Subscriptions');
      expect(before).toContain(policy);
      // It waits only for its role, so it is minutes old when the mount targets exist.
      expect([...madeBefore(template, policy)]).toEqual(
        idsOf(template, 'AWS::IAM::Role', 'Subscriptions'),
      );
      expect(text(statements(template, 'Subscriptions')[0]?.Resource)).toBe(
        'arn:<AWS::Partition>:firehose:<AWS::Region>:<AWS::AccountId>:deliverystream/hiwake',
      );
      expect(
        only(template, 'AWS::KinesisFirehose::DeliveryStream').Properties.DeliveryStreamName,
      ).toBe('hiwake');
    },
  );

  test('no filter’s name begins with that of another pipeline: CloudFormation finds filters by a prefix', () => {
    const named = (name: string): string =>
      only(templateOf({ deployment: `name = "${name}"` }), 'AWS::Logs::SubscriptionFilter')
        .Properties.FilterName;
    expect([named('hiwake'), named('hiwake-test')]).toEqual(['hiwake/', 'hiwake-test/']);
    expect(() => templateOf({ deployment: 'name = "hiwake/x"' })).toThrow(
      'name: write 2 to 20 of a-z 0-9 -',
    );
  });

  // Never asked for, the columns were the central account and region of every event.
  test('a filter emits the system fields that the columns of its sources need, and no others', () => {
    const emitted = (hiwake: string): unknown[] =>
      resources(templateOf({ hiwake }), 'AWS::Logs::SubscriptionFilter').map(
        (one) => one.Properties.EmitSystemFields,
      );
    const columns = (...names: string[]): string => `columns = ${JSON.stringify(names)}`;
    expect(emitted(source(['/a'], columns('{owner}')))).toEqual([undefined]);
    const both = source(['/a', '/b'], columns('{region}', '{message}'));
    const glob = source(['/*'], `subscribe = "manual"\nexclude = ["/b"]\n${columns('{account}')}`);
    expect(emitted(both + glob)).toEqual([['@aws.account', '@aws.region'], ['@aws.region']]);
    const defaults = `[defaults]\n${columns('{account}')}\n`;
    expect(emitted(defaults + source(['/a']))).toEqual([['@aws.account']]);
  });

  test('a log group in two sources has one filter, or it is refused', () => {
    expect(
      filters(source(['/a'], 'log_streams = ["x"]') + source(['/a'], 'log_streams = ["y"]')),
    ).toEqual([['/a', '']]);
    expect(() =>
      filters(source(['/a'], 'filter_pattern = "x"') + source(['/a'], 'filter_pattern = "y"')),
    ).toThrow('source[2]: /a has another filter_pattern');
  });

  test('a source with only globs is refused, with a remedy', () => {
    expect(() => filters(source(['/aws/lambda/*']))).toThrow(
      /source\[1\].*\/aws\/lambda\/\* names none.*subscribe = "account"/,
    );
  });
});

describe('subscribe = "account"', () => {
  const hiwake =
    source(['/named']) +
    source(['/manual'], 'subscribe = "manual"') +
    source(['/aws/lambda/*'], 'subscribe = "account"\nfilter_pattern = "\\"x\\""');

  test('one policy, which excludes the pipeline’s own log groups and those that are subscribed otherwise', () => {
    const { Properties } = only(templateOf({ hiwake }), 'AWS::Logs::AccountPolicy');
    expect(Properties).toMatchObject({ PolicyType: 'SUBSCRIPTION_FILTER_POLICY', Scope: 'ALL' });
    const [operator, names] = Properties.SelectionCriteria.split(' IN ');
    expect(operator).toBe('LogGroupName NOT');
    expect(JSON.parse(names)).toEqual([
      ...['transform', 'land', 'seal', 'stream'].map((part) => `/hiwake/hiwake/${part}`),
      '/named',
      '/manual',
    ]);
    expect(JSON.parse(text(Properties.PolicyDocument))).toMatchObject({
      DestinationArn: expect.stringMatching(/^<Stream/),
      RoleArn: expect.stringMatching(/^<Subscriptions/),
      FilterPattern: '"x"',
    });
  });

  // They went into the stream, were paid for, and landed in [unmatched].
  test('a name in exclude is left out, if no other source with "account" takes it', () => {
    const sources =
      source(['*'], 'subscribe = "account"\nexclude = ["/noise", "/mine/a", "/mine/b"]') +
      source(['/mine/*'], 'subscribe = "account"\nexclude = ["/mine/b"]');
    const { SelectionCriteria } = only(
      templateOf({ hiwake: sources }),
      'AWS::Logs::AccountPolicy',
    ).Properties;
    expect(JSON.parse(SelectionCriteria.split(' IN ')[1]).slice(4)).toEqual(['/noise', '/mine/b']);
  });

  test('a glob in exclude is warned of: a policy leaves out names only', () => {
    const all = source(['/aws/*'], `subscribe = "account"\nexclude = ["/aws/x-*"]`);
    const warned = (rest: string): string =>
      planned(readConfig(all + rest).sources, 'hiwake').warnings.join('\n');
    expect(warned('')).toMatch(/source\[1\]: an account policy .* names only, .*\/aws\/x-\* /);
    expect(warned(source(['/aws/x-*'], 'subscribe = "account"'))).not.toMatch('names only');
  });

  test('columns that need system fields are warned of: CloudWatch Logs knows none in a policy', () => {
    const sources = source(['*'], 'subscribe = "account"\ncolumns = ["{account}", "{message}"]');
    expect(planned(readConfig(sources).sources, 'hiwake').warnings.join('\n')).toMatch(
      /source\[1\]: .*@aws\.account.*subscribe = "filter"/,
    );
  });

  test('every log group of the pipeline is excluded', () => {
    const template = templateOf({ hiwake });
    const own = resources(template, 'AWS::Logs::LogGroup').map(
      (one) => one.Properties.LogGroupName,
    );
    expect(own).toHaveLength(4);
    for (const name of own)
      expect(only(template, 'AWS::Logs::AccountPolicy').Properties.SelectionCriteria).toContain(
        `"${name}"`,
      );
  });

  test('two patterns, or a log group twice, are refused', () => {
    const other = source(['/x/*'], 'subscribe = "account"\nfilter_pattern = "y"');
    expect(() => templateOf({ hiwake: hiwake + other })).toThrow(
      'source[4]: an account has one policy',
    );
    const twice = source(['/a']) + source(['/a'], 'subscribe = "account"');
    expect(() => templateOf({ hiwake: twice })).toThrow('is also subscribed by another source');
  });
});

test('the pipeline’s own log groups are refused', () => {
  for (const subscribe of ['filter', 'account', 'manual']) {
    expect(() =>
      templateOf({ hiwake: source(['/hiwake/hiwake/land'], `subscribe = "${subscribe}"`) }),
    ).toThrow("pipeline's own log group");
  }
});

describe('what CloudWatch Logs and CloudFormation allow', () => {
  const groups = (count: number, length = 4): string[] =>
    Array.from({ length: count }, (_, at) => `/g/${String(at).padStart(length, '0')}`);

  test('as many log groups as a stack can have; one more is refused, with the number and a remedy', () => {
    const refused = /(\d+) log groups are named.* name at most (\d+)\..*subscribe = "account"/;
    const [, named, most] =
      refused.exec(said(() => templateOf({ hiwake: source(groups(600)) }))) ?? [];
    expect(named).toBe('600');
    const largest = templateOf({ hiwake: source(groups(Number(most))) });
    expect(Object.keys(largest.toJSON().Resources)).toHaveLength(500);
    expect(said(() => templateOf({ hiwake: source(groups(Number(most) + 1)) }))).toMatch(refused);
  });

  // Counted when the stack was made, an app that adds one resource got CDK's own count of types.
  test('what the app adds, and what CDK adds at synthesis, counts too', () => {
    const refused = /name at most (\d+)/;
    const [, most] = refused.exec(said(() => templateOf({ hiwake: source(groups(600)) }))) ?? [];
    const full = { hiwake: source(groups(Number(most))) };
    const adding = stackOf(full);
    new CfnResource(adding.stack, 'Theirs', { type: 'AWS::SNS::Topic' });
    expect(said(() => adding.app.synth())).toMatch(`name at most ${Number(most) - 1}`);
    const analytics = stackOf(full, { analyticsReporting: true });
    expect(said(() => analytics.app.synth())).toMatch(`name at most ${Number(most) - 1}`);
    const aspect = stackOf(full);
    const late = { type: 'AWS::SNS::Topic' };
    Aspects.of(aspect.app).add({
      visit: (one) => void (one === aspect.stack && new CfnResource(aspect.stack, 'Late', late)),
    });
    expect(said(() => aspect.app.synth())).toMatch(`name at most ${Number(most) - 1}`);
  });

  test('25 KB of names that an account policy excludes; more are refused', () => {
    const account = (names: string[]): string =>
      source(names, 'subscribe = "manual"') + source(['*'], 'subscribe = "account"');
    const { SelectionCriteria } = only(
      templateOf({ hiwake: account(groups(200, 110)) }),
      'AWS::Logs::AccountPolicy',
    ).Properties;
    expect(SelectionCriteria.length).toBeGreaterThan(20_000);
    expect(said(() => templateOf({ hiwake: account(groups(250, 110)) }))).toMatch(
      /254 log groups.* bytes.*allows 25000\. Name fewer/,
    );
  });

  test('notes at synthesis name what the account may have used up', () => {
    const notes = (hiwake: string): string =>
      stackOf({ hiwake })
        .stack.node.findAll()
        .flatMap((one) => one.node.metadata)
        .map((one) => String(one.data))
        .join();
    expect(notes(source(['/a']))).toMatch(
      /two subscription filters, and must be of class Standard/,
    );
    expect(notes(source(['*'], 'subscribe = "account"'))).toMatch(
      /A region has one such policy: the deployment fails/,
    );
  });

  function said(act: () => unknown): string {
    try {
      act();
    } catch (error) {
      return String(error);
    }
    return 'nothing';
  }
});

test('subscribe = "manual" makes no subscription, and outputs what one needs', () => {
  const template = templateOf({ hiwake: source(['/a/*'], 'subscribe = "manual"') });
  const { StreamArn, SubscriptionRole } = template.toJSON().Outputs;
  expect(text(StreamArn.Value)).toMatch(/^<Stream/);
  expect(text(SubscriptionRole.Value)).toMatch(/^<SubscriptionsRole/);
  template.resourceCountIs('AWS::Logs::SubscriptionFilter', 0);
  template.resourceCountIs('AWS::Logs::AccountPolicy', 0);
});

test("the sample configuration subscribes its log groups, and not the account", () => {
  templateOf({ hiwake: projectFile('hiwake.toml') }).resourceCountIs('AWS::Logs::AccountPolicy', 0);
  expect(filters(projectFile('hiwake.toml'))).toEqual([['/var/log/messages', '']]);
  expect(filters(PLAIN)).toEqual([['/var/log/messages', '']]);
});

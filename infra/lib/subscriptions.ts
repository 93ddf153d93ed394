// Subscribes log groups to the stream, as the sources of hiwake.toml say.

import { Annotations, CfnOutput, type CfnResource, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as firehose from 'aws-cdk-lib/aws-kinesisfirehose';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

import { Alarm, FIVE_MINUTES } from './alarm.js';
import { type Config, isGlob, type Source, takes } from './config.js';
import { logGroupName, OWN_LOG_GROUPS, pipelineOf, streamArn } from './names.js';

export interface SubscriptionsProps {
  readonly config: Config;
  readonly destination: firehose.IDeliveryStream;
  /** The last resource that the first event needs: it waits for all others. */
  readonly last: CfnResource;
}

export class Subscriptions extends Construct {
  /** The filters and the account policy. */
  readonly made: CfnResource[] = [];
  private readonly pipeline = pipelineOf(this).name;

  constructor(scope: Construct, id: string, props: SubscriptionsProps) {
    super(scope, id);
    const plan = planned(props.config.sources, this.pipeline);
    for (const warning of plan.warnings)
      Annotations.of(this).addWarningV2('hiwake:subscriptions', warning);

    // Only for log groups of this account, so that another account cannot make the service write
    // into this stream.
    const source = Stack.of(this).formatArn({ service: 'logs', resource: '*' });
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('logs.amazonaws.com', {
        conditions: { StringLike: { 'aws:SourceArn': source } },
      }),
    });
    const policy = new iam.Policy(this, 'Grants', { roles: [role] });
    policy.addStatements(
      // Names the stream by its name, so that the policy does not wait for it. CloudWatch Logs
      // tests a new destination at once, and a failure is final. A policy that is seconds old may
      // not apply yet.
      new iam.PolicyStatement({
        actions: ['firehose:PutRecord', 'firehose:PutRecordBatch'],
        resources: [streamArn(this)],
      }),
    );
    for (const [logGroup, filterPattern] of plan.filters) {
      const filter = new logs.CfnSubscriptionFilter(this, `Filter ${logGroup}`, {
        logGroupName: logGroup,
        filterName: filterName(this.pipeline),
        filterPattern,
        emitSystemFields: emitted(props.config.sources, logGroup),
        destinationArn: props.destination.deliveryStreamArn,
        roleArn: role.roleArn,
      });
      this.made.push(filter);
    }
    const note =
      'a log group can have two subscription filters, and must be of class Standard (docs/deploy.md)';
    if (plan.filters.size > 0) Annotations.of(this).addInfoV2('hiwake:filters', note);
    this.outputs(role, props.destination);
    if (plan.account) {
      const account = new logs.CfnAccountPolicy(this, 'Account', {
        policyName: this.pipeline,
        policyType: 'SUBSCRIPTION_FILTER_POLICY',
        scope: 'ALL',
        policyDocument: Stack.of(this).toJsonString({
          DestinationArn: props.destination.deliveryStreamArn,
          RoleArn: role.roleArn,
          FilterPattern: plan.account.filterPattern,
          Distribution: 'Random',
        }),
        selectionCriteria: criteria(plan.account.except),
      });
      this.made.push(account);
    }
    for (const one of this.made) one.addResourceDependency(props.last);
    this.alarms(plan.account !== undefined);
  }

  /** Outputs for subscribing log groups by hand. */
  private outputs(role: iam.Role, destination: firehose.IDeliveryStream): void {
    const outputs = {
      StreamArn: [destination.deliveryStreamArn, 'the destination of a subscription filter'],
      SubscriptionRole: [role.roleArn, 'the role of a subscription filter'],
    } as const;
    for (const [id, [value, description]] of Object.entries(outputs)) {
      new CfnOutput(Stack.of(this), id, { value, description });
    }
  }

  private alarms(account: boolean): void {
    // A query, so that a hundred log groups need one alarm. Deliveries of an account policy have no
    // filter name, so it then watches all subscriptions of the account, also those of others.
    const where = account ? '' : ` WHERE FilterName = '${filterName(this.pipeline)}'`;
    const query = (metricName: string): cloudwatch.MathExpression =>
      new cloudwatch.MathExpression({
        expression: `SELECT SUM(${metricName}) FROM "AWS/Logs"${where}`,
        usingMetrics: {},
        period: FIVE_MINUTES,
      });
    new Alarm(this, 'logs not delivered', {
      means:
        'CloudWatch Logs cannot put events into the stream. It has dropped those that it cannot retry.',
      metric: query('DeliveryErrors'),
    });
    new Alarm(this, 'logs throttled', {
      means:
        'The stream accepts less than CloudWatch Logs sends. CloudWatch Logs retries for 24 hours, then drops.',
      metric: query('DeliveryThrottling'),
      periods: 3,
    });
  }
}

/** The fields that the sources of a log group need, and that are sent only on request. */
function emitted(sources: Source[], logGroup: string): string[] | undefined {
  const taking = sources.filter((source) => takes(source, logGroup));
  const fields = [...new Set(taking.flatMap((source) => source.systemFields))].sort();
  return fields.length > 0 ? fields : undefined;
}

/** CloudFormation finds filters by a prefix of the name: `hiwake` would find `hiwake-test`. */
function filterName(pipeline: string): string {
  return `${pipeline}/`;
}

export interface Plan {
  /** Log group → filter pattern. */
  readonly filters: Map<string, string>;
  readonly account?: { readonly filterPattern: string; readonly except: string[] };
  readonly warnings: string[];
}

/** The subscriptions that the sources ask for. Throws an error that says what to write instead. */
export function planned(sources: Source[], pipeline: string): Plan {
  const own = OWN_LOG_GROUPS.map((part) => logGroupName(pipeline, part));
  const filters = new Map<string, string>();
  const warnings: string[] = [];
  for (const source of sources) {
    const ours = source.names.find((name) => own.includes(name));
    if (ours)
      throw new Error(
        `${at(source)}: ${ours} is the pipeline's own log group, and carrying it would never end. Remove it`,
      );
    if (source.subscribe !== 'filter') continue;
    if (source.names.length === 0) {
      throw new Error(
        `${at(source)}: subscribe = "filter" makes a subscription filter for each named log group, but ${source.globs.join(', ')} ` +
          'names none. Name the log groups, or write subscribe = "account" (one policy for the account) or "manual" (you subscribe them yourself)',
      );
    }
    if (source.globs.length > 0) {
      warnings.push(
        `${at(source)}: no subscription is made for ${source.globs.join(', ')}, because a filter needs a name. Log groups with a name have theirs.`,
      );
    }
    for (const name of source.names) subscribe(filters, name, source);
  }
  return {
    filters,
    account: accountPolicy(sources, [
      ...new Set([...own, ...named(sources), ...excluded(sources)]),
    ]),
    warnings: [...warnings, ...accountWarnings(sources)],
  };
}

/** Several sources may divide the streams of one log group, which still has one filter. */
function subscribe(filters: Map<string, string>, name: string, source: Source): void {
  const before = filters.get(name);
  if (before !== undefined && before !== source.filterPattern) {
    throw new Error(
      `${at(source)}: ${name} has another filter_pattern in an earlier source, but a log group has one filter. Write the same pattern`,
    );
  }
  filters.set(name, source.filterPattern);
}

/**
 * Log groups that have a filter of their own, or are subscribed by hand: the account policy
 * excludes them.
 */
function named(sources: Source[]): string[] {
  const names = sources
    .filter((source) => source.subscribe !== 'account')
    .flatMap((source) => source.names);
  return [...new Set(names)];
}

/** Names that the sources of the account policy exclude, and none of them takes. */
function excluded(sources: Source[]): string[] {
  const asking = sources.filter((source) => source.subscribe === 'account');
  const names = asking.flatMap((source) => source.exclude.filter((one) => !isGlob(one)));
  return names.filter((name) => !asking.some((source) => takes(source, name)));
}

function accountPolicy(sources: Source[], except: string[]): Plan['account'] {
  const asking = sources.filter((source) => source.subscribe === 'account');
  const [first, ...others] = asking;
  if (!first) return undefined;
  const other = others.find((source) => source.filterPattern !== first.filterPattern);
  if (other) {
    throw new Error(
      `${at(other)}: an account has one policy, so all sources with subscribe = "account" need one filter_pattern. Write that of ${at(first)}`,
    );
  }
  const twice = asking.find((source) => source.names.some((name) => except.includes(name)));
  if (twice)
    throw new Error(
      `${at(twice)}: one of its log groups is also subscribed by another source. Name it once`,
    );
  const bytes = Buffer.byteLength(criteria(except));
  if (bytes > CRITERIA_MAX) {
    throw new Error(
      `hiwake.toml: the account policy excludes ${except.length} log groups: those that other sources name, and exclude. ` +
        `That needs ${bytes} bytes, but CloudWatch Logs allows ${CRITERIA_MAX}. ` +
        'Name fewer, or write subscribe = "account" in their sources too',
    );
  }
  return { filterPattern: first.filterPattern, except };
}

/** The most bytes of an account policy's criteria: 25 KB of 1,000, the smaller reading. */
const CRITERIA_MAX = 25_000;

function criteria(except: string[]): string {
  return `LogGroupName NOT IN ${JSON.stringify(except)}`;
}

function accountWarnings(sources: Source[]): string[] {
  const asking = sources.filter((source) => source.subscribe === 'account');
  if (asking.length === 0) return [];
  const globs = asking.flatMap((source) => source.globs);
  const carried = asking.flatMap((source) =>
    source.exclude
      .filter((one) => isGlob(one) && !globs.includes(one))
      .map(
        (glob) =>
          `${at(source)}: an account policy can exclude names only, so the log groups of exclude = ${glob} are ` +
          'carried and paid for. They land where another source or [unmatched] puts them. To exclude them, name them.',
      ),
  );
  const local = asking
    .filter((source) => source.systemFields.length > 0)
    .map(
      (source) =>
        `${at(source)}: an account policy does not emit ${source.systemFields.join(' and ')}, so its columns have this account ` +
        'and region for all events. For centralised log groups write subscribe = "filter".',
    );
  return [
    ...carried,
    ...local,
    'subscribe = "account" subscribes every log group of this account and region, except those that other ' +
      'sources name. Events that no source matches are carried, paid for, and land in the [unmatched] file. ' +
      'A region has one such policy: the deployment fails if another tool has made it (docs/deploy.md).',
  ];
}

function at(source: Source): string {
  return `hiwake.toml: source[${source.index}]`;
}

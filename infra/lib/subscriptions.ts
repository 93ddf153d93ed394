// Which log groups put their events into the stream: as hiwake.toml's sources say.

import { Annotations, CfnOutput, type CfnResource, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as firehose from 'aws-cdk-lib/aws-kinesisfirehose';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

import { Alarm, FIVE_MINUTES } from './alarm.ts';
import { type Config, isGlob, type Source, takes } from './config.ts';
import { logGroupName, OWN_LOG_GROUPS, pipelineOf, streamArn } from './names.ts';

export interface SubscriptionsProps {
  readonly config: Config;
  readonly destination: firehose.IDeliveryStream;
  /** What the first event needs, and what waits for all else. */
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

    // Only on behalf of this account's log groups: another's cannot make the service write into
    // this stream.
    const source = Stack.of(this).formatArn({ service: 'logs', resource: '*' });
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('logs.amazonaws.com', {
        conditions: { StringLike: { 'aws:SourceArn': source } },
      }),
    });
    const policy = new iam.Policy(this, 'Grants', { roles: [role] });
    policy.addStatements(
      // By its name, so that the policy does not wait for the stream. CloudWatch Logs tries a new
      // destination at once, and a policy that is seconds old may not hold yet. A failure is final.
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
      'a log group takes two subscription filters, and must be of class Standard (docs/deploy.md)';
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

  /** For who subscribes log groups by hand. */
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
    // A query, so that a hundred log groups take one alarm. An account policy's deliveries have no
    // filter's name: then all subscriptions of the account are watched, other people's too.
    const where = account ? '' : ` WHERE FilterName = '${filterName(this.pipeline)}'`;
    const query = (metricName: string): cloudwatch.MathExpression =>
      new cloudwatch.MathExpression({
        expression: `SELECT SUM(${metricName}) FROM "AWS/Logs"${where}`,
        usingMetrics: {},
        period: FIVE_MINUTES,
      });
    new Alarm(this, 'logs not delivered', {
      means:
        'CloudWatch Logs cannot put events into the stream. What it may not try again it has dropped.',
      metric: query('DeliveryErrors'),
    });
    new Alarm(this, 'logs throttled', {
      means:
        'The stream takes less than CloudWatch Logs has to put in. It tries again for 24 hours, then drops.',
      metric: query('DeliveryThrottling'),
      periods: 3,
    });
  }
}

/** What the sources of a log group need of each event beside what CloudWatch Logs always sends. */
function emitted(sources: Source[], logGroup: string): string[] | undefined {
  const taking = sources.filter((source) => takes(source, logGroup));
  const fields = [...new Set(taking.flatMap((source) => source.systemFields))].sort();
  return fields.length > 0 ? fields : undefined;
}

/** CloudFormation finds filters by the beginning of a name: `hiwake` would be `hiwake-test`. */
function filterName(pipeline: string): string {
  return `${pipeline}/`;
}

export interface Plan {
  /** Log group → filter pattern. */
  readonly filters: Map<string, string>;
  readonly account?: { readonly filterPattern: string; readonly except: string[] };
  readonly warnings: string[];
}

/** What the sources ask for, or an error that says what to write instead. */
export function planned(sources: Source[], pipeline: string): Plan {
  const own = OWN_LOG_GROUPS.map((part) => logGroupName(pipeline, part));
  const filters = new Map<string, string>();
  const warnings: string[] = [];
  for (const source of sources) {
    const ours = source.names.find((name) => own.includes(name));
    if (ours)
      throw new Error(
        `${at(source)}: ${ours} is the pipeline's own log group: carrying it would never end. Take it out`,
      );
    if (source.subscribe !== 'filter') continue;
    if (source.names.length === 0) {
      throw new Error(
        `${at(source)}: subscribe = "filter" makes a subscription filter for each named log group, and ${source.globs.join(', ')} ` +
          'names none. Name the log groups, or write subscribe = "account" (one policy for the account) or "manual" (you subscribe them yourself)',
      );
    }
    if (source.globs.length > 0) {
      warnings.push(
        `${at(source)}: no subscription is made for ${source.globs.join(', ')}: a filter needs a name. The named ones have theirs.`,
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

/** Several sources may tell a log group's streams apart; it has one filter. */
function subscribe(filters: Map<string, string>, name: string, source: Source): void {
  const before = filters.get(name);
  if (before !== undefined && before !== source.filterPattern) {
    throw new Error(
      `${at(source)}: ${name} has another filter_pattern in a source before: a log group has one filter. Write the same one`,
    );
  }
  filters.set(name, source.filterPattern);
}

/**
 * Names that have a filter of their own, or that somebody subscribes by hand: the account policy
 * leaves them out.
 */
function named(sources: Source[]): string[] {
  const names = sources
    .filter((source) => source.subscribe !== 'account')
    .flatMap((source) => source.names);
  return [...new Set(names)];
}

/** Names that every source of the account policy leaves to others: to [unmatched], or to nobody. */
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
      `${at(other)}: an account has one policy, so all sources with subscribe = "account" have one filter_pattern. Write that of ${at(first)}`,
    );
  }
  const twice = asking.find((source) => source.names.some((name) => except.includes(name)));
  if (twice)
    throw new Error(
      `${at(twice)}: one of its log groups is subscribed by another source too. Name it once`,
    );
  const bytes = Buffer.byteLength(criteria(except));
  if (bytes > CRITERIA_MAX) {
    throw new Error(
      `hiwake.toml: the account policy leaves out ${except.length} log groups: those that other sources name, and exclude. ` +
        `That takes ${bytes} bytes, and CloudWatch Logs takes ${CRITERIA_MAX}. ` +
        'Name fewer, or write subscribe = "account" in their sources too',
    );
  }
  return { filterPattern: first.filterPattern, except };
}

/** Bytes of the criteria of an account policy, in kilobytes of either kind. */
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
          `${at(source)}: an account policy leaves out names only, so the log groups of exclude = ${glob} are ` +
          'carried and paid for. They land where another source or [unmatched] puts them. Name them to leave them out.',
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
    'subscribe = "account" puts every log group of this account and region into the stream but those that are named elsewhere in hiwake.toml: ' +
      'what no source matches is carried, paid for, and lands in the [unmatched] file. ' +
      'A region has one such policy: the deployment fails if another tool has made it (docs/deploy.md).',
  ];
}

function at(source: Source): string {
  return `hiwake.toml: source[${source.index}]`;
}

// The pipeline's dashboard, the alarms on silence, and the topic that alarms notify.

import { Annotations, Duration, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';

import { Alarm, countOrZero, own } from './alarm.js';
import type { Deployment } from './deployment.js';
import type { Land } from './land.js';
import { pipelineOf } from './names.js';
import type { Seal } from './seal.js';
import type { Stream } from './stream.js';
import type { Transform } from './transform.js';

export interface MonitoringProps {
  readonly deployment: Deployment;
  readonly stream: Stream;
  readonly transform: Transform;
  readonly land: Land;
  readonly seal: Seal;
}

const HOUR = Duration.hours(1);

export class Monitoring extends Construct {
  /** Must be created last, because it collects the alarms that exist. */
  constructor(
    scope: Construct,
    id: string,
    private readonly props: MonitoringProps,
  ) {
    super(scope, id);
    this.silence();
    const alarms = Stack.of(this)
      .node.findAll()
      .filter((construct) => construct instanceof Alarm);
    const { alarms: topic, key } = props.deployment.tell;
    if (topic && key) {
      Annotations.of(this).addWarningV2(
        'hiwake:key',
        `hiwake does not change the policy of ${key}: allow cloudwatch.amazonaws.com kms:Decrypt and ` +
          'kms:GenerateDataKey*, or no alarm is sent (docs/deploy.md)',
      );
    }
    if (topic) {
      const action = new actions.SnsAction(sns.Topic.fromTopicArn(this, 'Topic', topic));
      for (const alarm of alarms) {
        alarm.addAlarmAction(action);
        alarm.addOkAction(action);
      }
    }
    const { name } = pipelineOf(this);
    const dashboard = new cloudwatch.Dashboard(this, 'Dashboard', {
      dashboardName: name,
      defaultInterval: Duration.days(1),
    });
    dashboard.addWidgets(
      new cloudwatch.AlarmStatusWidget({ title: `${name}: alarms`, alarms, width: 24, height: 4 }),
    );
    dashboard.addWidgets(this.events(), this.lag(), this.lines());
    dashboard.addWidgets(this.failures(), this.days(), this.cost());
  }

  /**
   * Adds the alarms on silence. Lambda polls the queue all the time, so the queue always sends
   * metrics.
   */
  private silence(): void {
    const { deployment, stream, land, seal } = this.props;
    const alive = land.notices.metricApproximateNumberOfMessagesVisible({
      statistic: 'Maximum',
      period: HOUR,
    });
    new Alarm(this, 'seal not running', {
      means: 'The seal function has not been called for three hours.',
      metric: countOrZero(
        seal.function.metricInvocations({ period: HOUR, statistic: 'Sum' }),
        alive,
        HOUR,
      ),
      below: 1,
      periods: 3,
    });
    if (deployment.silenceHours === 0) return;
    new Alarm(this, 'no records', {
      means: `No record has arrived for ${deployment.silenceHours} hours.`,
      metric: countOrZero(stream.metric('IncomingRecords', { period: HOUR }), alive, HOUR),
      below: 1,
      periods: deployment.silenceHours,
    });
  }

  private events(): cloudwatch.IWidget {
    return this.graph('Events in and out', [
      'EventsIn',
      'RowsOut',
      'EventsDropped',
      'EventsRefused',
      'EventsFailed',
    ]);
  }

  private lines(): cloudwatch.IWidget {
    return this.graph('Rows in, lines, duplicates, late', [
      'RowsIn',
      'RowsLanded',
      'RowsDuplicate',
      'RowsLate',
      'RowsDeferred',
    ]);
  }

  private failures(): cloudwatch.IWidget {
    return this.graph('Failures', [
      'RecordsFailed',
      'AnswerOverflow',
      'RowsQuarantined',
      'ObjectsFailed',
      'ObjectsQuarantined',
      'NoticesUnreadable',
      'SealFailed',
    ]);
  }

  private lag(): cloudwatch.IWidget {
    const { stream, land } = this.props;
    return new cloudwatch.GraphWidget({
      title: 'Lag in seconds',
      width: 8,
      left: [
        stream.metric('DeliveryToS3.DataFreshness', { statistic: 'Maximum', label: 'in Firehose' }),
        land.notices.metricApproximateAgeOfOldestMessage({
          statistic: 'Maximum',
          label: 'in the queue',
        }),
      ],
    });
  }

  private days(): cloudwatch.IWidget {
    return new cloudwatch.GraphWidget({
      title: 'Sealed days, and seconds since the oldest unsealed day ended',
      width: 8,
      left: [own(this, 'Sealed', { period: HOUR })],
      right: [own(this, 'OldestUnsealedAge', { statistic: 'Maximum', period: HOUR })],
    });
  }

  private cost(): cloudwatch.IWidget {
    const { stream, transform, land, seal } = this.props;
    const functions = [transform.function, land.function, seal.function];
    return new cloudwatch.GraphWidget({
      title: 'What costs: Firehose bytes, commits to EFS; function milliseconds',
      width: 8,
      left: [
        stream.metric('IncomingBytes', { period: HOUR }),
        own(this, 'AnswerBytes', { period: HOUR }),
        own(this, 'Commits', { period: HOUR }),
      ],
      right: functions.map((one) => one.metricDuration({ statistic: 'Sum', period: HOUR })),
    });
  }

  private graph(title: string, metrics: string[]): cloudwatch.IWidget {
    return new cloudwatch.GraphWidget({
      title,
      width: 8,
      left: metrics.map((metric) => own(this, metric)),
    });
  }
}

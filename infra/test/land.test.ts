import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';

import {
  idsOf,
  madeBefore,
  only,
  PLAIN,
  projectFile,
  resources,
  statements,
  stackOf,
  templateOf,
  text,
} from './pipeline.js';

const template = templateOf();

function functionOf(what: string): Record<string, unknown> {
  const [one] = resources(template, 'AWS::Lambda::Function').filter(
    (each) => each.Properties.FunctionName === `hiwake-${what}`,
  );
  return one?.Properties;
}

describe('notices', () => {
  const { Properties } = only(template, 'AWS::SQS::Queue', 'Notices');

  test('S3 may send to the queue: it has SSE-SQS, not the key that AWS manages', () => {
    for (const queue of resources(template, 'AWS::SQS::Queue')) {
      expect(queue.Properties).toMatchObject({
        SqsManagedSseEnabled: true,
        MessageRetentionPeriod: 14 * 86_400,
      });
      expect(queue.Properties.KmsMasterKeyId).toBeUndefined();
    }
    const [, allowed] = only(template, 'AWS::SQS::QueuePolicy', 'Notices').Properties.PolicyDocument
      .Statement;
    expect(allowed).toMatchObject({
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: 'sqs:SendMessage',
      Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
    });
  });

  test('are retried soon, for more than 8 hours without the file system, then become dead letters', () => {
    expect(Properties.VisibilityTimeout).toBe((functionOf('land')['Timeout'] as number) + 30);
    const { maxReceiveCount } = Properties.RedrivePolicy;
    expect(maxReceiveCount).toBe(200);
    expect(maxReceiveCount * Properties.VisibilityTimeout).toBeGreaterThan(8 * 3600);
    const [, denied] =
      /DENIED_RECEIVES: u32 = (\d+);/.exec(projectFile('src/lambda/land.rs')) ?? [];
    expect(Number(denied)).toBe(maxReceiveCount / 2);
    expect(text(Properties.RedrivePolicy.deadLetterTargetArn)).toMatch(/^<LandDead/);
  });

  test('come from every way to create an object, only under landing/ and failed/, by the bucket’s own property', () => {
    const bucket = only(template, 'AWS::S3::Bucket', 'Delivery');
    const { QueueConfigurations } = bucket.Properties.NotificationConfiguration;
    expect(QueueConfigurations.map((one: { Event: string }) => one.Event)).toEqual([
      's3:ObjectCreated:*',
      's3:ObjectCreated:*',
    ]);
    expect(
      QueueConfigurations.map(
        (one: { Filter: { S3Key: { Rules: unknown } } }) => one.Filter.S3Key.Rules,
      ),
    ).toEqual([[{ Name: 'prefix', Value: 'landing/' }], [{ Name: 'prefix', Value: 'failed/' }]]);
    expect(bucket.DependsOn?.join()).toContain('LandNoticesPolicy');
    expect(
      only(template, 'AWS::S3::Bucket', 'Backup').Properties.NotificationConfiguration,
    ).toBeUndefined();
  });
});

describe('S3 tests the queue at once, and SQS may need a minute until the queue’s policy applies', () => {
  const EXISTING =
    '[network]\nvpc_id = "vpc-0aaaaaaa"\nsubnet_ids = ["subnet-0aaaaaaa"]\n[efs]\nfile_system_id = "fs-0aaaaaaa"\nsecurity_group_id = "sg-0eeeeeee"';

  test.each([
    ['of its own', ''],
    ['that already exists', EXISTING],
  ])('with a file system %s, the bucket comes a minute after the policy', (_, deployment) => {
    const made = templateOf({ deployment });
    const [bucket = ''] = idsOf(made, 'AWS::S3::Bucket', 'Delivery');
    const before = madeBefore(made, bucket);
    const [policy = ''] = idsOf(made, 'AWS::SQS::QueuePolicy', 'Notices');
    // A function in a VPC takes a minute or more, and so do mount targets. The policy waits for
    // none of them.
    const slow = [
      ...idsOf(made, 'AWS::EFS::MountTarget'),
      ...idsOf(made, 'AWS::Lambda::Function', 'Seal'),
    ];
    for (const id of [policy, ...slow]) expect(before).toContain(id);
    for (const id of slow) expect(madeBefore(made, policy)).not.toContain(id);
  });
});

describe('land', () => {
  test('answers for each message, and has a limited concurrency', () => {
    const { Properties } = only(template, 'AWS::Lambda::EventSourceMapping');
    expect(Properties).toMatchObject({
      BatchSize: 2,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      ScalingConfig: { MaximumConcurrency: 2 },
    });
    const ten = templateOf({ deployment: '[land]\nconcurrency = 10' });
    expect(only(ten, 'AWS::Lambda::EventSourceMapping').Properties.ScalingConfig).toEqual({
      MaximumConcurrency: 10,
    });
    for (const wrong of [1, 11])
      expect(() => templateOf({ deployment: `[land]\nconcurrency = ${wrong}` })).toThrow(
        'land.concurrency: write 2 to 10',
      );
  });

  test('lands a batch of full backup objects within its time-out, each within its share', () => {
    const measured = JSON.parse(projectFile('benches/cost/measured.json'));
    const { S3BackupConfiguration } = only(template, 'AWS::KinesisFirehose::DeliveryStream')
      .Properties.ExtendedS3DestinationConfiguration;
    const wire = S3BackupConfiguration.BufferingHints.SizeInMBs * 2 ** 20;
    const text = (wire * measured.text) / measured.wire;
    // It includes the work of transform. 1,769 MB are a CPU; EFS accepts 100 MB a second.
    const cpu =
      ((text / 1e9) * (measured.transform.cpu_s_a_gb + measured.plain.land.cpu_s_a_gb) * 1769) /
      (functionOf('land')['MemorySize'] as number);
    const { files, seen, journals } = measured.plain.landed;
    const written = (text / measured.text) * (files + seen + journals);
    const object = 1.5 * (cpu + written / 100e6);
    // docs/protocol.md, "Time": three quarters of the time after a margin. Each object has half of
    // what is left, the last one all.
    let left = ((functionOf('land')['Timeout'] as number) - 5) * 0.75;
    const { BatchSize } = only(template, 'AWS::Lambda::EventSourceMapping').Properties;
    for (let after = BatchSize - 1; after >= 0; after -= 1) {
      expect(object).toBeLessThan(after > 0 ? left / 2 : left);
      left -= object;
    }
  });

  test('reads the objects of its prefixes, and learns that an object is missing', () => {
    const all = statements(template, 'LandRole');
    const reading = all
      .filter((one) => one.Action === 's3:GetObject')
      .flatMap((one) => one.Resource);
    expect(
      reading
        .map(text)
        .map((arn) => arn.replace(/<.*>/, ''))
        .sort(),
    ).toEqual(['/backup/*', '/failed/*', '/landing/*']);
    const listing = all.filter((one) => one.Action === 's3:ListBucket');
    expect(listing.flatMap((one) => one.Resource)).toHaveLength(2);
    // A GetObject has no prefix. With a condition on one, S3 would say that a missing object is
    // denied.
    for (const one of listing) expect(one.Condition).toBeUndefined();
    expect(
      all.flatMap((one) => one.Action).filter((action) => /^s3:(Put|Delete)/.test(action)),
    ).toEqual([]);
  });

  test('seal reads no objects', () => {
    const actions = statements(template, 'SealRole').flatMap((one) => one.Action);
    expect(actions.length).toBeGreaterThan(0);
    expect(actions.filter((action) => action.startsWith('s3:'))).toEqual([]);
  });
});

describe('seal', () => {
  test('runs every hour after the grace, in the configured zone, with retries and a queue for lost calls', () => {
    const { Properties } = only(template, 'AWS::Scheduler::Schedule');
    expect(Properties).toMatchObject({
      ScheduleExpression: 'cron(10 * * * ? *)',
      ScheduleExpressionTimezone: 'Asia/Tokyo',
      State: 'ENABLED',
      Target: {
        Input: '{"hiwake":"seal"}',
        RetryPolicy: { MaximumRetryAttempts: 3, MaximumEventAgeInSeconds: 3600 },
      },
    });
    expect(text(Properties.Target.DeadLetterConfig.Arn)).toMatch(/^<SealFailed/);
    // Otherwise yesterday's last objects would be committed after 00:10, and the day would wait
    // until 02:10.
    const slow = templateOf({ deployment: '[stream]\nbuffer_seconds = 900' });
    expect(only(slow, 'AWS::Scheduler::Schedule').Properties.ScheduleExpression).toBe(
      'cron(20 * * * ? *)',
    );
    const half = templateOf({
      hiwake: `${PLAIN.replace('Asia/Tokyo', 'Asia/Kolkata')}\n[seal]\ngrace = "1h 30m"`,
    });
    expect(only(half, 'AWS::Scheduler::Schedule').Properties).toMatchObject({
      ScheduleExpression: 'cron(40 * * * ? *)',
      ScheduleExpressionTimezone: 'Asia/Kolkata',
    });
  });

  test('objects that keep failing ring within about an hour, a single retry does not', () => {
    const alarm = only(template, 'AWS::CloudWatch::Alarm', 'objectsfailing').Properties;
    const notices = only(template, 'AWS::SQS::Queue', 'LandNotices').Properties;
    // An object that keeps failing does so in each period: it is retried when its visibility ends,
    // and a run takes at most a time-out.
    const { Timeout } = only(template, 'AWS::Lambda::Function', 'LandFunction').Properties;
    expect(alarm.Period).toBeGreaterThan(2 * (notices.VisibilityTimeout + Timeout));
    expect(alarm.Period * alarm.EvaluationPeriods).toBe(3600);
    // It rings long before the dead letters, and not after one or two failures.
    expect(3600).toBeLessThan(notices.RedrivePolicy.maxReceiveCount * notices.VisibilityTimeout);
    expect(3600).toBeGreaterThan(2 * notices.VisibilityTimeout);
  });

  test('an output seals now, one replays from the backup, and one checks the deployment', () => {
    const { SealCommand, ReplayCommand, DoctorCommand } = template.toJSON().Outputs;
    const { Target } = only(template, 'AWS::Scheduler::Schedule').Properties;
    expect(text(SealCommand.Value)).toMatch(
      /^aws lambda invoke --function-name <SealFunction\w+> --region <AWS::Region> .*--payload '(.*)' \/dev\/stdout$/,
    );
    expect(text(SealCommand.Value)).toContain(`--payload '${Target.Input}'`);
    expect(text(ReplayCommand.Value)).toMatch(
      /^AWS_REGION=<AWS::Region> hiwake replay s3:\/\/<StorageBackup\w+>\/backup --since 2d --queue <LandNotices\w+>$/,
    );
    const named = templateOf({ deployment: 'name = "logs"' }).toJSON().Outputs.DoctorCommand;
    for (const [pipeline, { Value }] of [['hiwake', DoctorCommand], ['logs', named]] as const) {
      expect(text(Value)).toMatch(
        new RegExp(
          `^AWS_REGION=<AWS::Region> hiwake doctor --pipeline ${pipeline} --log-groups --alarms --queue <LandNotices\\w+> ` +
            '--prefix s3://<StorageDelivery\\w+>/landing/ --prefix s3://<StorageBackup\\w+>/backup/$',
        ),
      );
    }
    const page = projectFile('docs/runbook.md');
    for (const name of ['ReplayCommand', 'SealCommand'])
      expect(page).toContain(`$(output ${name})`);
  });

  test('a run that failed as a whole goes to a queue, and Lambda does not repeat it', () => {
    const { Properties } = only(template, 'AWS::Lambda::EventInvokeConfig');
    expect(Properties.MaximumRetryAttempts).toBe(0);
    expect(text(Properties.DestinationConfig.OnFailure.Destination)).toMatch(/^<SealFailed/);
    expect(Properties.DestinationConfig.OnSuccess).toBeUndefined();
  });

  test('complete days are announced to the topic, if there is one', () => {
    const topic = 'arn:aws:sns:ap-northeast-1:123456789012:sealed';
    const told = templateOf({ deployment: `[tell]\nsealed = "${topic}"` });
    expect(
      only(told, 'AWS::Lambda::EventInvokeConfig').Properties.DestinationConfig.OnSuccess,
    ).toEqual({ Destination: topic });
    // An announcement is not a guarantee, and every page that a reader may rely on says so.
    for (const path of [
      'infra/deployment.toml',
      'docs/deploy.md',
      'docs/protocol.md',
      'docs/runbook.md',
    ]) {
      expect(projectFile(path), path).toMatch(/two rounds[^]{0,300}\.sha256/);
    }
    expect(
      statements(told, 'SealRole')
        .filter((one) => one.Action === 'sns:Publish')
        .map((one) => one.Resource),
    ).toEqual([topic]);
  });

  test('seal may use the key of an encrypted topic, and a warning says what the alarms need', () => {
    const key = 'arn:aws:kms:ap-northeast-1:123456789012:key/1';
    const topic = 'arn:aws:sns:ap-northeast-1:123456789012:t';
    const deployment = `[tell]\nsealed = "${topic}"\nalarms = "${topic}"\nkey = "${key}"`;
    const { stack } = stackOf({ deployment });
    const used = statements(Template.fromStack(stack), '').filter((one) => one.Resource === key);
    expect(used).toHaveLength(1);
    expect(used[0]).toMatchObject({
      Effect: 'Allow',
      Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
    });
    expect(text(used[0]?.Condition?.['StringEquals']?.['kms:ViaService'])).toBe(
      'sns.<AWS::Region>.amazonaws.com',
    );
    const said = stack.node
      .findAll()
      .flatMap((one) => one.node.metadata)
      .map((one) => String(one.data))
      .join();
    expect(said).toContain('allow cloudwatch.amazonaws.com kms:Decrypt and kms:GenerateDataKey*');
    expect(projectFile('docs/deploy.md')).toContain('"Service": "cloudwatch.amazonaws.com"');
  });
});

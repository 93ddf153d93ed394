import { describe, expect, test } from 'vitest';

import { only, PLAIN, resources, statements, templateOf, text } from './pipeline.js';

const template = templateOf();
const { Properties } = only(template, 'AWS::KinesisFirehose::DeliveryStream');
const s3 = Properties.ExtendedS3DestinationConfiguration;

describe('stream', () => {
  test('DirectPut, encrypted, with the pipeline’s name', () => {
    expect(Properties).toMatchObject({
      DeliveryStreamName: 'hiwake',
      DeliveryStreamType: 'DirectPut',
      DeliveryStreamEncryptionConfigurationInput: { KeyType: 'AWS_OWNED_CMK' },
    });
  });

  test('the processor has its retries and its buffer, which CDK does not write by default', () => {
    const [{ Type, Parameters }] = s3.ProcessingConfiguration.Processors;
    const said = Object.fromEntries(
      Parameters.map((one: { ParameterName: string; ParameterValue: unknown }) => [
        one.ParameterName,
        one.ParameterValue,
      ]),
    );
    expect(Type).toBe('Lambda');
    expect(said).toMatchObject({
      NumberOfRetries: '3',
      BufferSizeInMBs: '1',
      BufferIntervalInSeconds: '60',
    });
    expect(text(said.LambdaArn)).toMatch(/^<TransformFunction\w+\.Arn>$/);
  });

  test('objects are named by the day of arrival in UTC, end in .rows.zst, and are not compressed again', () => {
    expect(s3).toMatchObject({
      Prefix: 'landing/!{timestamp:yyyy/MM/dd}/',
      ErrorOutputPrefix: 'failed/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/',
      FileExtension: '.rows.zst',
      CompressionFormat: 'UNCOMPRESSED',
      BufferingHints: { IntervalInSeconds: 300, SizeInMBs: 64 },
    });
    const often = templateOf({ deployment: '[stream]\nbuffer_seconds = 60' });
    const { BufferingHints } = only(often, 'AWS::KinesisFirehose::DeliveryStream').Properties
      .ExtendedS3DestinationConfiguration;
    expect(BufferingHints).toMatchObject({ IntervalInSeconds: 60 });
  });

  test.each(['Etc/GMT-9', 'America/Port-au-Prince'])(
    'Firehose does not accept the name %s: it gets no zone, but the schedule does',
    (zone) => {
      const template = templateOf({ hiwake: PLAIN.replace('Asia/Tokyo', zone) });
      const stream = only(template, 'AWS::KinesisFirehose::DeliveryStream');
      expect(JSON.stringify(stream)).not.toMatch(/CustomTimeZone/);
      const { ScheduleExpressionTimezone } = only(template, 'AWS::Scheduler::Schedule').Properties;
      expect(ScheduleExpressionTimezone).toBe(zone);
    },
  );

  test('all source records are backed up in their own bucket, and never gzipped twice', () => {
    expect(s3.S3BackupMode).toBe('Enabled');
    expect(s3.S3BackupConfiguration).toMatchObject({
      CompressionFormat: 'UNCOMPRESSED',
      Prefix: 'backup/!{timestamp:yyyy/MM/dd}/',
    });
    expect(text(s3.S3BackupConfiguration.BucketARN)).not.toBe(text(s3.BucketARN));
    // CloudFormation has no properties for these.
    expect(
      s3.S3BackupConfiguration.CustomTimeZone ?? s3.S3BackupConfiguration.FileExtension,
    ).toBeUndefined();
  });

  test('Firehose may write its prefixes and call transform, but delete nothing', () => {
    const all = statements(template, 'Stream');
    const actions = all.flatMap((one) => one.Action);
    expect(actions.filter((action) => /delete|\*/i.test(action))).toEqual([]);
    const writing = all.find((one) => one.Action.includes('s3:PutObject'));
    expect(
      [writing?.Resource]
        .flat()
        .map(text)
        .map((arn) => arn.replace(/<.*>/, ''))
        .sort(),
    ).toEqual(['/backup-failed/*', '/backup/*', '/failed/*', '/landing/*']);
    expect(only(template, 'AWS::KinesisFirehose::DeliveryStream').DependsOn?.join()).toContain(
      'StreamGrants',
    );
  });

  test('services that act for an account may act only for this one', () => {
    const trusts = resources(template, 'AWS::IAM::Role').flatMap(
      (one) => one.Properties.AssumeRolePolicyDocument.Statement,
    );
    const conditions = trusts.map((one) => [
      one.Principal.Service,
      Object.values(one.Condition ?? {}).flatMap(Object.keys as never),
    ]);
    // As in their guides: Firehose's has no condition, and Lambda knows its own functions.
    expect(Object.fromEntries(conditions)).toEqual({
      'firehose.amazonaws.com': [],
      'lambda.amazonaws.com': [],
      'logs.amazonaws.com': ['aws:SourceArn'],
      'scheduler.amazonaws.com': ['aws:SourceAccount'],
    });
  });

  test('its errors go into its own log group', () => {
    for (const options of [
      s3.CloudWatchLoggingOptions,
      s3.S3BackupConfiguration.CloudWatchLoggingOptions,
    ]) {
      expect(options).toMatchObject({ Enabled: true });
      expect(text(options.LogGroupName)).toMatch(/^<StreamLogs/);
    }
  });
});

describe('functions', () => {
  test.each([
    ['transform', 512, 60],
    ['land', 1024, 120],
    ['seal', 1769, 900],
  ])('%s: x86_64, its memory and its time-out', (what, memory, timeout) => {
    const [one] = resources(template, 'AWS::Lambda::Function').filter(
      (each) => each.Properties.FunctionName === `hiwake-${what}`,
    );
    expect(one?.Properties).toMatchObject({
      Runtime: 'provided.al2023',
      Handler: 'bootstrap',
      Architectures: ['x86_64'],
      MemorySize: memory,
      Timeout: timeout,
    });
  });

  test('only functions that write files are in the VPC and mount the file system', () => {
    for (const { Properties: one } of resources(template, 'AWS::Lambda::Function')) {
      const writes = one.FunctionName !== 'hiwake-transform';
      expect(Boolean(one.VpcConfig)).toBe(writes);
      expect(one.FileSystemConfigs?.[0]?.LocalMountPath).toBe(
        writes ? one.Environment.Variables.HIWAKE_ROOT : undefined,
      );
    }
    const mounts = statements(template, '').filter((one) =>
      [one.Action].flat().some((action) => action.startsWith('elasticfilesystem')),
    );
    expect(mounts).toHaveLength(2);
    for (const mount of mounts) {
      expect(mount.Action).toEqual([
        'elasticfilesystem:ClientMount',
        'elasticfilesystem:ClientWrite',
      ]);
      expect(mount.Condition?.['StringEquals']?.['elasticfilesystem:AccessPointArn']).toBeDefined();
    }
  });

  test('functions that mount wait for every mount target, because Lambda tests the mount when it creates them', () => {
    const targets = Object.keys(template.findResources('AWS::EFS::MountTarget'));
    expect(targets).toHaveLength(2);
    for (const what of ['LandFunction', 'SealFunction']) {
      expect(only(template, 'AWS::Lambda::Function', what).DependsOn).toEqual(
        expect.arrayContaining(targets),
      );
    }
  });

  test('their logs are kept for log_days', () => {
    const groups = resources(
      templateOf({ deployment: 'log_days = 90' }),
      'AWS::Logs::LogGroup',
    ).map((one) => one.Properties);
    expect(groups.map((one) => one.LogGroupName).sort()).toEqual(
      ['land', 'seal', 'stream', 'transform'].map((part) => `/hiwake/hiwake/${part}`),
    );
    expect(new Set(groups.map((one) => one.RetentionInDays))).toEqual(new Set([90]));
    for (const one of resources(template, 'AWS::Lambda::Function'))
      expect(one.Properties.LoggingConfig.LogGroup).toBeDefined();
  });

  test('no statement allows an action on everything, except network interfaces, which are denied to the code', () => {
    const wide = statements(template, '').filter(
      (one) => one.Effect === 'Allow' && [one.Resource].flat().includes('*'),
    );
    expect(wide).toHaveLength(2);
    for (const one of wide)
      expect([one.Action].flat().every((action) => action.startsWith('ec2:'))).toBe(true);
    const denied = statements(template, '').filter((one) => one.Effect === 'Deny');
    expect(denied.map((one) => one.Action)).toEqual(wide.map((one) => one.Action));
    expect(
      denied
        .map((one) => text(one.Condition?.['ArnEquals']?.['lambda:SourceFunctionArn']))
        .map((arn) => arn.split(':').pop())
        .sort(),
    ).toEqual(['hiwake-land', 'hiwake-seal']);
    expect(
      statements(template, '')
        .flatMap((one) => one.Action)
        .filter((action) => action.includes('*')),
    ).toEqual([]);
  });

  test('CDK adds no functions or roles of its own', () => {
    template.resourceCountIs('AWS::Lambda::Function', 3);
    expect(
      Object.values(template.toJSON().Resources).filter((one) =>
        String((one as { Type: string }).Type).startsWith('Custom::'),
      ),
    ).toEqual([]);
    for (const role of resources(template, 'AWS::IAM::Role'))
      expect(role.Properties.ManagedPolicyArns).toBeUndefined();
  });
});

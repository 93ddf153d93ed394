import { Template } from 'aws-cdk-lib/assertions';
import { LifecyclePolicy } from 'aws-cdk-lib/aws-efs';
import { describe, expect, test } from 'vitest';

import { readConfig } from '../lib/config.js';
import { backupDays } from '../lib/storage.js';
import {
  only,
  PLAIN,
  projectFile,
  READERS,
  resources,
  statements,
  stackOf,
  templateOf,
  text,
  VPC,
} from './pipeline.js';

const template = templateOf();
const kept = { hiwake: `${PLAIN}\n[seal]\njournal_days = 30\ngrace = "3days"` };

describe('buckets', () => {
  test.each(['Delivery', 'Backup'])(
    '%s: encrypted, not public, only through TLS, kept',
    (id) => {
      const bucket = only(template, 'AWS::S3::Bucket', id);
      expect(bucket.DeletionPolicy).toBe('RetainExceptOnCreate');
      expect(bucket.Properties.BucketEncryption.ServerSideEncryptionConfiguration).toEqual([
        { ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } },
      ]);
      expect(bucket.Properties.PublicAccessBlockConfiguration).toEqual({
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      });
      expect(bucket.Properties.BucketName).toBeUndefined();
      const policy = only(template, 'AWS::S3::BucketPolicy', id).Properties.PolicyDocument
        .Statement;
      expect(policy).toContainEqual(
        expect.objectContaining({
          Effect: 'Deny',
          Action: 's3:*',
          Principal: { AWS: '*' },
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        }),
      );
      expect(policy.filter((one: { Effect: string }) => one.Effect === 'Allow')).toEqual([]);
    },
  );

  test('an object outlives its notice, which may wait for 14 days', () => {
    const { Rules } = only(template, 'AWS::S3::Bucket', 'Delivery').Properties
      .LifecycleConfiguration;
    const [notices] = resources(template, 'AWS::SQS::Queue', 'Notices');
    for (const prefix of ['landing/', 'failed/']) {
      const rule = Rules.find((one: { Prefix?: string }) => one.Prefix === prefix);
      expect(rule.ExpirationInDays * 86_400).toBeGreaterThan(
        notices?.Properties.MessageRetentionPeriod,
      );
    }
    expect(() => templateOf({ deployment: '[storage]\nlanding_days = 14' })).toThrow(
      'storage.landing_days: write 15 to 3650',
    );
  });

  test('only the lifecycle deletes from the backup, and overwritten versions are kept', () => {
    const [deny] = only(
      template,
      'AWS::S3::BucketPolicy',
      'Backup',
    ).Properties.PolicyDocument.Statement.filter(
      (one: { Sid?: string }) => one.Sid === 'NobodyDeletes',
    );
    expect(deny).toMatchObject({
      Effect: 'Deny',
      Principal: { AWS: '*' },
      Action: ['s3:DeleteObject', 's3:DeleteObjectVersion'],
    });
    expect(only(template, 'AWS::S3::Bucket', 'Backup').Properties.VersioningConfiguration).toEqual({
      Status: 'Enabled',
    });
  });

  test('the backup is kept for as long as a day can be replayed into', () => {
    // journal_days until the close, the day, 14 days of late events, 48 h (or the grace) until the
    // seal, 24 h of Firehose's retries.
    expect(backupDays(readConfig(PLAIN))).toBe(90 + 1 + 14 + 2 + 1);
    expect(backupDays(readConfig(kept.hiwake))).toBe(30 + 1 + 14 + 3 + 1);
    const { Rules } = only(template, 'AWS::S3::Bucket', 'Backup').Properties.LifecycleConfiguration;
    expect(Rules[0]).toMatchObject({
      ExpirationInDays: 108,
      Transitions: [{ StorageClass: 'GLACIER_IR', TransitionInDays: 7 }],
    });
  });

  test('a class that charges for 90 days is not used for less', () => {
    const { Rules } = only(templateOf(kept), 'AWS::S3::Bucket', 'Backup').Properties
      .LifecycleConfiguration;
    expect(Rules[0]).toMatchObject({ ExpirationInDays: 49 });
    expect(Rules[0].Transitions).toBeUndefined();
    const short = templateOf({ hiwake: `${PLAIN}\n[seal]\njournal_days = 75` });
    const [rule] = only(short, 'AWS::S3::Bucket', 'Backup').Properties.LifecycleConfiguration.Rules;
    expect(rule).toMatchObject({ ExpirationInDays: 93, Transitions: [{ TransitionInDays: 3 }] });
  });

  test('docs/cost.md counts the days and classes that the bucket has', () => {
    const {
      Rules: [rule],
    } = only(template, 'AWS::S3::Bucket', 'Backup').Properties.LifecycleConfiguration;
    const warm = rule.Transitions[0].TransitionInDays;
    const line = `"S3 backup/, ${rule.ExpirationInDays} days": gb / GZIP * (${warm} * price["s3"] + ${rule.ExpirationInDays - warm} * price["glacier"])`;
    expect(projectFile('benches/cost/table.py')).toContain(line);
  });

  test('removal = "destroy" keeps nothing', () => {
    const destroyed = templateOf({ deployment: 'removal = "destroy"' });
    for (const type of ['AWS::S3::Bucket', 'AWS::EFS::FileSystem']) {
      for (const resource of resources(destroyed, type))
        expect(resource.DeletionPolicy).toBe('Delete');
    }
    expect(JSON.stringify(destroyed.toJSON())).not.toContain('NobodyDeletes');
  });
});

describe('file system', () => {
  const { Properties } = only(template, 'AWS::EFS::FileSystem');

  test('encrypted, elastic, cold after a day, not backed up twice, kept', () => {
    expect(Properties).toMatchObject({
      Encrypted: true,
      ThroughputMode: 'elastic',
      LifecyclePolicies: [{ TransitionToIA: 'AFTER_1_DAY' }],
      BackupPolicy: { Status: 'DISABLED' },
    });
    expect(Properties.AvailabilityZoneName).toBeUndefined();
    template.resourceCountIs('AWS::EFS::MountTarget', 2);
    expect(only(template, 'AWS::EFS::FileSystem').DeletionPolicy).toBe('RetainExceptOnCreate');
    const backed = templateOf({ deployment: '[storage]\nefs_backups = true' });
    expect(only(backed, 'AWS::EFS::FileSystem').Properties.BackupPolicy).toEqual({
      Status: 'ENABLED',
    });
  });

  const made = (efs: string): Record<string, unknown> =>
    only(templateOf({ deployment: `[efs]\n${efs}` }), 'AWS::EFS::FileSystem').Properties;

  test('bursting throughput, in the same performance mode', () => {
    expect(made('throughput = "bursting"')).toEqual({ ...Properties, ThroughputMode: 'bursting' });
  });

  test.each([
    ['ia_days = 0', undefined],
    ['ia_days = 30', [{ TransitionToIA: 'AFTER_30_DAYS' }]],
    [
      'archive_days = 90',
      [{ TransitionToIA: 'AFTER_1_DAY' }, { TransitionToArchive: 'AFTER_90_DAYS' }],
    ],
    [
      'ia_days = 7\narchive_days = 365',
      [{ TransitionToIA: 'AFTER_7_DAYS' }, { TransitionToArchive: 'AFTER_365_DAYS' }],
    ],
  ])('%s', (days, LifecyclePolicies) =>
    expect(made(days)).toEqual({ ...Properties, LifecyclePolicies }),
  );

  test('deployment.toml accepts the days that EFS has', () => {
    const { properties } = JSON.parse(projectFile('infra/contract/deployment.schema.json'))
      .properties.efs;
    const named = Object.values(LifecyclePolicy).map((name) => Number(/\d+/.exec(name)));
    for (const key of ['ia_days', 'archive_days'])
      expect(properties[key].enum.toSorted()).toEqual([0, ...named].toSorted());
  });

  test('docs/cost.md and deployment.toml name the prices of the table', () => {
    const [, standard, ia, tiering] =
      /"us-east-1": [^]*?efs=([\d.]+), ia=([\d.]+), tiering=([\d.]+),/.exec(
        projectFile('benches/cost/table.py'),
      ) ?? [];
    const [, read, write] =
      /read=([\d.]+), write=([\d.]+),/.exec(projectFile('benches/cost/table.py')) ?? [];
    expect(projectFile('infra/deployment.toml')).toContain(`reads cost $${read}, writes $${write}`);
    expect(projectFile('infra/deployment.toml')).toContain(`Standard costs $${standard}`);
    expect(projectFile('infra/deployment.toml')).toContain(
      `to Infrequent Access: $${ia}, and $${tiering} to move`,
    );
    expect(projectFile('docs/cost.md')).toContain(`|reads $${read}, writes $${write} a GB|`);
    expect(projectFile('docs/cost.md')).toContain(`|$${ia} a GB-month, $${tiering} a GB to move|`);
  });

  test('only TLS, no anonymous access, no root', () => {
    const { Statement } = Properties.FileSystemPolicy;
    expect(Statement).toEqual([
      expect.objectContaining({
        Effect: 'Deny',
        Principal: { AWS: '*' },
        Action: '*',
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
      }),
      {
        Sid: 'NobodyIsRoot',
        Effect: 'Deny',
        Principal: { AWS: '*' },
        Action: 'elasticfilesystem:ClientRootAccess',
      },
    ]);
    expect(
      statements(template, '')
        .flatMap((one) => one.Action)
        .filter((action) => action.includes('Root')),
    ).toEqual([]);
  });

  test('the first mount makes the folder, which needs CreationInfo', () => {
    for (const one of resources(templateOf({ deployment: READERS }), 'AWS::EFS::AccessPoint')) {
      expect(one.Properties.RootDirectory).toEqual({
        Path: '/hiwake',
        CreationInfo: { OwnerUid: '7400', OwnerGid: '7400', Permissions: '0750' },
      });
    }
    expect(only(template, 'AWS::EFS::AccessPoint', 'Writer').Properties.PosixUser).toEqual({
      Uid: '7400',
      Gid: '7400',
    });
  });

  test('an existing file system gets access points, but no policy', () => {
    const existing = templateOf({
      deployment: `
[network]
vpc_id = "vpc-0aaaaaaa"
subnet_ids = ["subnet-0aaaaaaa", "subnet-0bbbbbbb"]
[efs]
file_system_id = "fs-0aaaaaaa"
security_group_id = "sg-0eeeeeee"
path = "/logs/days"`,
    });
    existing.resourceCountIs('AWS::EFS::FileSystem', 0);
    existing.resourceCountIs('AWS::EC2::VPC', 0);
    expect(only(existing, 'AWS::EFS::AccessPoint').Properties).toMatchObject({
      FileSystemId: 'fs-0aaaaaaa',
      RootDirectory: { Path: '/logs/days' },
    });
    expect(only(existing, 'AWS::EC2::SecurityGroupIngress').Properties).toMatchObject({
      GroupId: 'sg-0eeeeeee',
      FromPort: 2049,
    });
  });
});

describe('a file system in one zone', () => {
  const zonal = templateOf({ deployment: '[efs]\none_zone = "us-east-1c"' });

  test('the file system is in that zone, and nothing else differs', () => {
    const { Properties } = only(template, 'AWS::EFS::FileSystem');
    expect(only(zonal, 'AWS::EFS::FileSystem').Properties).toEqual({
      ...Properties,
      AvailabilityZoneName: 'us-east-1c',
    });
  });

  test('the only subnet is in that zone, with the only mount target and both functions that mount it', () => {
    const { AvailabilityZone } = only(zonal, 'AWS::EC2::Subnet').Properties;
    expect(AvailabilityZone).toBe('us-east-1c');
    const [subnet] = Object.keys(zonal.findResources('AWS::EC2::Subnet'));
    expect(only(zonal, 'AWS::EFS::MountTarget').Properties.SubnetId).toEqual({ Ref: subnet });
    for (const what of ['Land', 'Seal']) {
      expect(only(zonal, 'AWS::Lambda::Function', what).Properties.VpcConfig.SubnetIds).toEqual([
        { Ref: subnet },
      ]);
    }
    expect(only(zonal, 'AWS::EC2::VPCEndpoint').Properties.RouteTableIds).toHaveLength(1);
  });

  test('in an existing VPC it is in the named subnet; readers in any zone mount it by its name', () => {
    const read = templateOf({
      deployment: `${READERS.replace(', "subnet-0bbbbbbb"', '')}[efs]\none_zone = "us-east-1c"`,
    });
    expect(only(read, 'AWS::EFS::FileSystem').Properties.AvailabilityZoneName).toBe('us-east-1c');
    expect(only(read, 'AWS::EFS::MountTarget').Properties.SubnetId).toBe('subnet-0aaaaaaa');
    expect(only(read, 'AWS::Lambda::Function', 'Land').Properties.VpcConfig.SubnetIds).toEqual([
      'subnet-0aaaaaaa',
    ]);
    expect(text(read.toJSON().Outputs.MountCommand.Value)).toMatch(
      /mount -t efs -o ro,tls,iam,az=us-east-1c,accesspoint=<\S+> <\S+>:\/ \/mnt\/hiwake$/,
    );
  });

  test('the page says to decide before the first deployment', () => {
    expect(projectFile('docs/deploy.md')).toMatch(/efs\.one_zone[^\n]*empty file system/);
  });
});

test('network.zones names the zones of the VPC, if the first two of the region have no Lambda', () => {
  const zoned = templateOf({ deployment: '[network]\nzones = ["us-east-1b", "us-east-1d"]' });
  const zones = resources(zoned, 'AWS::EC2::Subnet').map((one) => one.Properties.AvailabilityZone);
  expect(zones).toEqual(['us-east-1b', 'us-east-1d']);
  zoned.resourceCountIs('AWS::EFS::MountTarget', 2);
  expect(projectFile('docs/deploy.md')).toMatch(/network\.zones[^]*describe-availability-zones/);
});

describe('readers', () => {
  test('the template has no readers by default', () => {
    expect(resources(template, 'AWS::EFS::AccessPoint')).toHaveLength(1);
    expect(template.toJSON().Outputs.MountCommand).toBeUndefined();
  });

  const read = templateOf({ deployment: READERS });

  test('their machines reach port 2049, and their roles may mount but not write', () => {
    const doors = resources(read, 'AWS::EC2::SecurityGroupIngress').map((one) => one.Properties);
    expect(doors).toContainEqual(
      expect.objectContaining({
        SourceSecurityGroupId: 'sg-0aaaaaaa',
        FromPort: 2049,
        ToPort: 2049,
      }),
    );
    const { Statement } = only(read, 'AWS::EFS::FileSystem').Properties.FileSystemPolicy;
    expect(Statement).toHaveLength(4);
    const role = { AWS: 'arn:aws:iam::123456789012:role/reader' };
    expect(Statement[2]).toMatchObject({
      Effect: 'Allow',
      Principal: role,
      Action: 'elasticfilesystem:ClientMount',
    });
    // No condition, so it holds whatever their own policies allow, with any access point or none.
    expect(Statement[3]).toEqual({
      Sid: 'ReadersOnlyRead',
      Effect: 'Deny',
      Principal: role,
      Action: ['elasticfilesystem:ClientRootAccess', 'elasticfilesystem:ClientWrite'],
    });
    expect(text(Statement[2].Condition.ArnLike['elasticfilesystem:AccessPointArn'])).toMatch(
      /:access-point\/\*$/,
    );
  });

  test('the policy of an existing file system is not changed: a warning says what it must deny', () => {
    const existing = READERS.replace(
      '[readers]',
      '[efs]\nfile_system_id = "fs-0aaaaaaa"\nsecurity_group_id = "sg-0eeeeeee"\n[readers]',
    );
    const { stack } = stackOf({ deployment: existing });
    const said = stack.node
      .findAll()
      .flatMap((one) => one.node.metadata)
      .map((one) => String(one.data))
      .join();
    expect(said).toMatch(/does not change the policy of fs-0aaaaaaa[^]*deny them ClientWrite and ClientRootAccess/);
    Template.fromStack(stack).resourceCountIs('AWS::EFS::FileSystem', 0);
  });

  test('they are another user of the same group, and an output mounts the files', () => {
    expect(only(read, 'AWS::EFS::AccessPoint', 'Reader').Properties.PosixUser).toEqual({
      Uid: '7401',
      Gid: '7400',
    });
    expect(text(read.toJSON().Outputs.MountCommand.Value)).toMatch(
      /mount -t efs -o ro,tls,iam,accesspoint=<\S+> <\S+>:\/ \/mnt\/hiwake$/,
    );
  });

  test('security groups without roles are refused', () => {
    expect(() =>
      templateOf({ deployment: `${VPC}[readers]\nsecurity_groups = ["sg-0aaaaaaa"]` }),
    ).toThrow('write both security_groups and roles');
  });

  test('readers without an existing VPC are refused: the VPC that the app makes has no other machines, and mount targets cannot move', () => {
    expect(() => templateOf({ deployment: READERS.replace(VPC, '') })).toThrow(
      /deployment.toml: readers: [^]*Write network.vpc_id/,
    );
    expect(projectFile('docs/deploy.md')).toMatch(/VPC[^\n]*before the first deployment/);
  });
});

describe('network', () => {
  test('isolated: no NAT, no internet gateway, no public subnet, S3 through a gateway endpoint for our buckets only', () => {
    for (const type of [
      'AWS::EC2::NatGateway',
      'AWS::EC2::InternetGateway',
      'AWS::EC2::Route',
      'AWS::EC2::EIP',
    ]) {
      template.resourceCountIs(type, 0);
    }
    for (const subnet of resources(template, 'AWS::EC2::Subnet'))
      expect(subnet.Properties.MapPublicIpOnLaunch).toBe(false);
    const endpoint = only(template, 'AWS::EC2::VPCEndpoint').Properties;
    expect(endpoint.VpcEndpointType).toBe('Gateway');
    expect(endpoint.RouteTableIds).toHaveLength(2);
    expect(endpoint.PolicyDocument.Statement).toEqual([
      expect.objectContaining({
        Effect: 'Allow',
        Action: ['s3:GetObject', 's3:ListBucket'],
        Resource: expect.not.arrayContaining(['*']),
      }),
    ]);
  });

  test('only NFS from the writers is let in', () => {
    const doors = resources(template, 'AWS::EC2::SecurityGroupIngress').map(
      (one) => one.Properties,
    );
    expect(doors).toEqual([
      expect.objectContaining({
        FromPort: 2049,
        ToPort: 2049,
        SourceSecurityGroupId: expect.anything(),
      }),
    ]);
  });

  test('an existing VPC: its subnets, and an endpoint if route tables are named', () => {
    const given =
      '[network]\nvpc_id = "vpc-0aaaaaaa"\nsubnet_ids = ["subnet-0aaaaaaa", "subnet-0bbbbbbb"]\n';
    const without = templateOf({ deployment: given });
    without.resourceCountIs('AWS::EC2::VPCEndpoint', 0);
    expect(
      resources(without, 'AWS::EFS::MountTarget').map((one) => one.Properties.SubnetId),
    ).toEqual(['subnet-0aaaaaaa', 'subnet-0bbbbbbb']);
    const withEndpoint = templateOf({ deployment: `${given}route_table_ids = ["rtb-0aaaaaaa"]` });
    expect(only(withEndpoint, 'AWS::EC2::VPCEndpoint').Properties).toMatchObject({
      RouteTableIds: ['rtb-0aaaaaaa'],
      VpcEndpointType: 'Gateway',
    });
    expect(only(withEndpoint, 'AWS::EC2::VPCEndpoint').Properties.PolicyDocument).toBeUndefined();
  });
});

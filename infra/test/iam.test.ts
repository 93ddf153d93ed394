// Who may do what: simulates IAM offline with the synthesised policies.
//
// tests/e2e/calls.json records the calls of the functions in the end-to-end tests. No emulator
// records the calls of AWS services for the pipeline: tests/e2e/calls-by-hand.json lists them.

import { runSimulation } from '@cloud-copilot/iam-simulate';
import { describe, expect, test } from 'vitest';

import { PLAIN, projectFile, READERS, type Resource, templateOf } from './pipeline.js';
import { VARIANTS } from './variants.js';

const ACCOUNT = '123456789012';
const REGION = 'ap-northeast-1';
const PSEUDO: Record<string, string> = {
  'AWS::AccountId': ACCOUNT,
  'AWS::Region': REGION,
  'AWS::Partition': 'aws',
  'AWS::URLSuffix': 'amazonaws.com',
};
const READER = `arn:aws:iam::${ACCOUNT}:role/reader`;

const KEY = `arn:aws:kms:${REGION}:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`;
const TOLD = `[tell]\nsealed = "arn:aws:sns:${REGION}:${ACCOUNT}:sealed"\nkey = "${KEY}"`;

/** One with its own VPC, whose endpoint has a policy, and one with readers. */
const plain = deployed();
const read = deployed(READERS);

type Deployed = ReturnType<typeof deployed>;

function deployed(deployment = TOLD, hiwake = PLAIN) {
  const all: Record<string, Resource> = templateOf({ deployment, hiwake }).toJSON().Resources;

  function arn(id: string): string {
    const { Type, Properties } = all[id] ?? { Type: '', Properties: {} };
    const of = (service: string, name: string): string =>
      `arn:aws:${service}:${REGION}:${ACCOUNT}:${name}`;
    switch (Type) {
      case 'AWS::S3::Bucket':
        return `arn:aws:s3:::${id.toLowerCase()}`;
      case 'AWS::SQS::Queue':
        return of('sqs', id);
      case 'AWS::IAM::Role':
        return `arn:aws:iam::${ACCOUNT}:role/${id}`;
      case 'AWS::Lambda::Function':
        return of('lambda', `function:${Properties.FunctionName}`);
      case 'AWS::KinesisFirehose::DeliveryStream':
        return of('firehose', `deliverystream/${Properties.DeliveryStreamName}`);
      case 'AWS::Logs::LogGroup':
        return of('logs', `log-group:${Properties.LogGroupName}:*`);
      case 'AWS::EFS::FileSystem':
        return of('elasticfilesystem', `file-system/fs-0123456789abcdef0`);
      default:
        throw new Error(`${id}: what is the ARN of ${Type}?`);
    }
  }

  function resolved(value: any): any {
    if (Array.isArray(value)) return value.map(resolved);
    if (typeof value !== 'object' || value === null) return value;
    if ('Ref' in value) return PSEUDO[value.Ref] ?? name(value.Ref);
    if ('Fn::GetAtt' in value) return arn(value['Fn::GetAtt'][0]);
    if ('Fn::Join' in value) return resolved(value['Fn::Join'][1]).join(value['Fn::Join'][0]);
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, resolved(one)]));
  }

  /** The value of a `Ref` in a policy. */
  function name(id: string): string {
    const type = all[id]?.Type;
    if (type === 'AWS::EFS::AccessPoint')
      return id.includes('Reader') ? 'fsap-0bbbbbbb' : 'fsap-0aaaaaaa';
    if (type === 'AWS::S3::Bucket') return id.toLowerCase();
    throw new Error(`${id}: what does Ref give of ${type}?`);
  }

  const ids = (type: string, holding: string): string[] =>
    Object.keys(all).filter((id) => all[id]?.Type === type && id.startsWith(holding));
  const one = (type: string, holding: string): string => {
    const [id, ...others] = ids(type, holding);
    if (!id || others.length > 0)
      throw new Error(`${type} ${holding}: ${others.length + (id ? 1 : 0)} of them`);
    return id;
  };

  return {
    arnOf: (type: string, holding: string): string => arn(one(type, holding)),
    identity: (role: string) =>
      Object.entries(all)
        .filter(
          ([, { Type, Properties }]) =>
            Type === 'AWS::IAM::Policy' && Properties.Roles.some((each: any) => each.Ref === role),
        )
        .map(([id, { Properties }]) => ({ name: id, policy: resolved(Properties.PolicyDocument) })),
    role: (holding: string): string => one('AWS::IAM::Role', holding),
    /** `role action` for each action that a role's policies allow. */
    granted: (): string[] =>
      Object.values(all)
        .filter(({ Type }) => Type === 'AWS::IAM::Policy')
        .flatMap(({ Properties: { Roles, PolicyDocument } }) =>
          PolicyDocument.Statement.filter((one: any) => one.Effect === 'Allow').flatMap((one: any) =>
            [one.Action].flat().map((action: string) => `${Roles[0].Ref} ${action}`),
          ),
        ),
    /** The trust policy of a role, or the policy of a bucket, a queue or the file system. */
    policy: (resource: string): any => {
      if (resource === KEY) return KEYS_OWN;
      const [, role] = resource.match(/:role\/(\w+)$/) ?? [];
      if (role) return resolved(all[role]?.Properties.AssumeRolePolicyDocument);
      for (const { Type, Properties } of Object.values(all)) {
        const holder =
          Type === 'AWS::S3::BucketPolicy' ? Properties.Bucket : Properties?.Queues?.[0];
        if (holder && arn(holder.Ref) === resource.replace(/\/.*/, ''))
          return resolved(Properties.PolicyDocument);
        if (Type === 'AWS::EFS::FileSystem' && resource.includes(':file-system/'))
          return resolved(Properties.FileSystemPolicy);
      }
      return undefined;
    },
    endpoint: (): any[] =>
      ids('AWS::EC2::VPCEndpoint', '').map((id) => ({
        name: id,
        policy: resolved(all[id]?.Properties.PolicyDocument),
      })),
  };
}

/** Of the operator's key, as KMS makes it: IAM decides. */
const KEYS_OWN = {
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
      Action: 'kms:*',
      Resource: '*',
    },
  ],
};

const ALLOW_ALL = [
  {
    orgIdentifier: 'o',
    policies: [
      {
        name: 'all',
        policy: {
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
        },
      },
    ],
  },
];
/** The context of every request: TLS, and where it comes from. */
const REQUEST = {
  'aws:SecureTransport': 'true',
  's3:TlsVersion': '1.3',
  'aws:PrincipalAccount': ACCOUNT,
};

interface Call {
  /** A role's logical id, its ARN, or a service. */
  readonly who: string;
  readonly action: string;
  readonly on: string;
  readonly with?: Record<string, string>;
  /** Policies of a role that the app does not make. */
  readonly own?: unknown[];
  /** Whether the call passes the VPC's endpoint. */
  readonly inVpc?: boolean;
}

async function decided(of: Deployed, call: Call): Promise<string> {
  const service = call.who.endsWith('.amazonaws.com');
  const ours = !service && !call.who.startsWith('arn:');
  const answer = await runSimulation(
    {
      request: {
        principal: ours ? `arn:aws:iam::${ACCOUNT}:role/${call.who}` : call.who,
        action: call.action,
        resource: { resource: call.on, accountId: ACCOUNT },
        contextVariables: { ...REQUEST, ...call.with },
      },
      identityPolicies: ours ? of.identity(call.who) : ((call.own ?? []) as never),
      serviceControlPolicies: service ? [] : ALLOW_ALL,
      resourceControlPolicies: [],
      resourcePolicy: of.policy(call.on),
      ...(call.inVpc && { vpcEndpointPolicies: of.endpoint() }),
    },
    {},
  );
  if (answer.resultType === 'error')
    throw new Error(`${call.action}: ${JSON.stringify(answer.errors)}`);
  return answer.overallResult;
}

const bucket = (what: string): string => plain.arnOf('AWS::S3::Bucket', `Storage${what}`);
const queue = (what: string): string => plain.arnOf('AWS::SQS::Queue', what);
const functionOf = (what: string): string => plain.arnOf('AWS::Lambda::Function', what);
const files = (of: Deployed): string => of.arnOf('AWS::EFS::FileSystem', 'StorageFiles');
const [LAND, SEAL, STREAM] = [
  plain.role('LandRole'),
  plain.role('SealRole'),
  plain.role('StreamRole'),
];
const accessPoint = (name: string): Record<string, string> => ({
  'elasticfilesystem:AccessPointArn': `arn:aws:elasticfilesystem:${REGION}:${ACCOUNT}:access-point/${name}`,
  'elasticfilesystem:AccessedViaMountTarget': 'true',
});
const logGroup = (what: string): string =>
  `arn:aws:logs:${REGION}:${ACCOUNT}:log-group:/hiwake/hiwake/${what}:log-stream:x`;

/** A call as tests/e2e/infra.py recorded it. */
interface Recorded {
  readonly function: 'land' | 'seal';
  readonly action: string;
  readonly bucket: string;
  readonly prefix: string;
}
const recorded: Recorded[] = JSON.parse(projectFile('tests/e2e/calls.json'));

describe('the calls of the functions in the end-to-end tests are allowed', () => {
  test('land reads what Firehose wrote, and learns that an object is missing', () => {
    const of = (action: string): string[] =>
      recorded.filter((one) => one.action === action).map((one) => one.bucket + one.prefix);
    expect(of('s3:GetObject')).toEqual(['Backupbackup/', 'Deliveryfailed/', 'Deliverylanding/']);
    expect(of('s3:ListBucket')).toEqual(['Backup', 'Delivery']);
  });

  test.each(recorded)(
    '$function: $action $prefix',
    async ({ function: name, action, bucket: of, prefix }) => {
      const on = action === 's3:ListBucket' ? bucket(of) : `${bucket(of)}/${prefix}2026/11/29/x`;
      const who = name === 'land' ? LAND : SEAL;
      expect(await decided(plain, { who, action, on, inVpc: true })).toBe('Allowed');
    },
  );
});

/**
 * A call that a service makes for the pipeline and no emulator makes: listed by hand, from the
 * service's guide.
 */
interface ByHand {
  readonly service: string;
  readonly who: string;
  readonly action: string;
  readonly on: string;
  readonly with?: Record<string, string>;
}
const byHand: ByHand[] = JSON.parse(projectFile('tests/e2e/calls-by-hand.json'));

function callOf({ who, action, on, with: context = {} }: ByHand): Call {
  const service = who.endsWith('.amazonaws.com');
  return { who: service ? who : plain.role(who), action, on: resource(on), with: context };
}

/** The ARN of what the list calls `kind:name`. */
function resource(on: string): string {
  const [kind = '', name = '', ...rest] = on.split(/:|(?=\/)/);
  const of = (service: string, path: string): string =>
    `arn:aws:${service}:${REGION}:${ACCOUNT}:${path}`;
  const kinds: Record<string, () => string> = {
    bucket: () => bucket(name) + rest.join(''),
    queue: () => queue(name),
    function: () => [functionOf(name), ...rest].join(':'),
    stream: () => plain.arnOf('AWS::KinesisFirehose::DeliveryStream', name),
    role: () => plain.arnOf('AWS::IAM::Role', name),
    topic: () => of('sns', name),
    key: () => KEY,
    'log-group': () => logGroup(name),
    'network-interface': () => of('ec2', 'network-interface/eni-0aaaaaaa'),
    files: () => files(plain),
    any: () => '*',
  };
  return (kinds[kind] ?? (() => `${on}?`))();
}

describe('the calls of services for the pipeline are allowed', () => {
  test.each(byHand.map((one) => [one.service, one.action, one.on, one] as const))(
    '%s: %s on %s',
    async (_, __, ___, one) => {
      expect(await decided(plain, callOf(one))).toBe('Allowed');
    },
  );

  const variants = Object.entries(VARIANTS).map(([name, given]) => {
    return [name, deployed(given?.deployment ?? '', given?.hiwake)] as const;
  });
  test.each(variants)('every action that a role may do is called, as recorded or by hand: %s', (_, of) => {
    const asked = new Set([
      ...byHand.map((one) => `${callOf(one).who} ${one.action}`),
      ...recorded.map((one) => `${one.function === 'land' ? LAND : SEAL} ${one.action}`),
    ]);
    expect(of.granted().filter((one) => !asked.has(one))).toEqual([]);
  });

  test('a reader mounts', async () => {
    const call = {
      who: READER,
      action: 'elasticfilesystem:ClientMount',
      on: files(read),
      with: accessPoint('fsap-0bbbbbbb'),
    };
    expect(await decided(read, call)).toBe('Allowed');
  });
});

describe('calls that the pipeline does not need are denied', () => {
  const admin = [
    {
      name: 'admin',
      policy: {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
      },
    },
  ];
  const administrator = (action: string, on: string, context = {}): Call => ({
    who: `arn:aws:iam::${ACCOUNT}:role/admin`,
    action,
    on,
    own: admin,
    with: context,
  });
  const calls: [string, Call][] = [
    ...['s3:PutObject', 's3:DeleteObject'].map((action): [string, Call] => [
      'land',
      { who: LAND, action, on: `${bucket('Delivery')}/landing/x` },
    ]),
    [
      'land, another bucket',
      { who: LAND, action: 's3:GetObject', on: 'arn:aws:s3:::others/x', inVpc: true },
    ],
    [
      'land, another bucket through our endpoint, whatever its role says',
      { ...administrator('s3:PutObject', 'arn:aws:s3:::others/x'), inVpc: true },
    ],
    [
      'land, the backup’s failures',
      { who: LAND, action: 's3:GetObject', on: `${bucket('Backup')}/backup-failed/x` },
    ],
    ['seal, objects', { who: SEAL, action: 's3:GetObject', on: `${bucket('Delivery')}/landing/x` }],
    [
      'CloudWatch Logs, of another account’s log group',
      {
        who: 'logs.amazonaws.com',
        action: 'sts:AssumeRole',
        on: resource('role:SubscriptionsRole'),
        with: { 'aws:SourceArn': `arn:aws:logs:${REGION}:999999999999:log-group:x:*` },
      },
    ],
    [
      'seal, the key for anything but SNS',
      {
        who: SEAL,
        action: 'kms:Decrypt',
        on: KEY,
        with: { 'kms:ViaService': `s3.${REGION}.amazonaws.com` },
      },
    ],
    ['seal, notices', { who: SEAL, action: 'sqs:ReceiveMessage', on: queue('LandNotices') }],
    [
      'transform, objects',
      {
        who: plain.role('TransformRole'),
        action: 's3:GetObject',
        on: `${bucket('Backup')}/backup/x`,
      },
    ],
    [
      'Firehose, deletion',
      { who: STREAM, action: 's3:DeleteObject', on: `${bucket('Backup')}/backup/x` },
    ],
    [
      'Firehose, another prefix',
      { who: STREAM, action: 's3:PutObject', on: `${bucket('Delivery')}/other/x` },
    ],
    [
      'Firehose, another function',
      { who: STREAM, action: 'lambda:InvokeFunction', on: functionOf('Land') },
    ],
    [
      'an administrator, deletion from the backup',
      administrator('s3:DeleteObject', `${bucket('Backup')}/backup/x`),
    ],
    [
      'an administrator, deletion of a version',
      administrator('s3:DeleteObjectVersion', `${bucket('Backup')}/backup/x`),
    ],
    [
      'an administrator, without TLS',
      administrator('s3:GetObject', `${bucket('Delivery')}/landing/x`, {
        'aws:SecureTransport': 'false',
      }),
    ],
    [
      'an administrator, with TLS 1.1',
      administrator('s3:GetObject', `${bucket('Delivery')}/landing/x`, { 's3:TlsVersion': '1.1' }),
    ],
    [
      'an administrator, root on the files',
      administrator('elasticfilesystem:ClientRootAccess', files(plain)),
    ],
    [
      'an administrator, a mount without TLS',
      administrator('elasticfilesystem:ClientMount', files(plain), {
        'aws:SecureTransport': 'false',
      }),
    ],
    [
      'S3, of another account’s bucket',
      {
        who: 's3.amazonaws.com',
        action: 'sqs:SendMessage',
        on: queue('LandNotices'),
        with: { 'aws:SourceAccount': '999999999999', 'aws:SourceArn': 'arn:aws:s3:::x' },
      },
    ],
    [
      'land, through no access point',
      { who: LAND, action: 'elasticfilesystem:ClientWrite', on: files(plain) },
    ],
    [
      'land, through another access point',
      {
        who: LAND,
        action: 'elasticfilesystem:ClientMount',
        on: files(plain),
        with: accessPoint('fsap-0bbbbbbb'),
      },
    ],
    ...[
      ['land', LAND],
      ['seal', SEAL],
    ].map(([name, who]): [string, Call] => [
      `${name}’s own code, network interfaces`,
      {
        who: who as string,
        action: 'ec2:CreateNetworkInterface',
        on: `arn:aws:ec2:${REGION}:${ACCOUNT}:network-interface/eni-0aaaaaaa`,
        with: { 'lambda:SourceFunctionArn': functionOf(name === 'land' ? 'Land' : 'Seal') },
      },
    ]),
    [
      'the schedule, land',
      { who: plain.role('SealCaller'), action: 'lambda:InvokeFunction', on: functionOf('Land') },
    ],
    [
      'subscriptions, another stream',
      {
        who: plain.role('SubscriptionsRole'),
        action: 'firehose:PutRecord',
        on: `arn:aws:firehose:${REGION}:${ACCOUNT}:deliverystream/other`,
      },
    ],
  ];

  test.each(calls.map(([who, call]) => [who, call.action, call] as const))(
    '%s: %s',
    async (_, __, call) => {
      expect(await decided(plain, call)).toMatch(/Denied/);
    },
  );

  test.each(['elasticfilesystem:ClientWrite', 'elasticfilesystem:ClientRootAccess'])(
    'a reader whose role allows everything: %s',
    async (action) => {
      for (const context of [accessPoint('fsap-0bbbbbbb'), accessPoint('fsap-0aaaaaaa'), {}]) {
        expect(
          await decided(read, { who: READER, action, on: files(read), own: admin, with: context }),
        ).toMatch(/Denied/);
      }
    },
  );
});

// One of hiwake's Lambda functions: its package, its log group, and a role that may only log until
// it is granted more.

import { ArnFormat, type Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as efs from 'aws-cdk-lib/aws-efs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

import { acknowledge } from './acknowledge.js';
import { logGroupName, pipelineOf } from './names.js';
import type { Network } from './network.js';
import type { PackageName, Packages } from './package.js';
import type { Storage } from './storage.js';

export interface HiwakeFunctionProps {
  readonly packages: Packages;
  readonly package: PackageName;
  readonly what: 'transform' | 'land' | 'seal';
  readonly description: string;
  readonly memoryMiB: number;
  readonly timeout: Duration;
  readonly logDays: number;
  /** Only for functions that write files. */
  readonly files?: { readonly network: Network; readonly storage: Storage };
}

/**
 * Where the functions mount the day files. The access point's root is the folder itself, so they
 * need no path in EFS.
 */
const MOUNT = '/mnt/hiwake';

export class HiwakeFunction extends Construct {
  readonly function: lambda.Function;

  constructor(scope: Construct, id: string, props: HiwakeFunctionProps) {
    super(scope, id);
    const { name } = pipelineOf(this);
    const functionName = `${name}-${props.what}`;
    const logGroup = new logs.LogGroup(this, 'Logs', {
      logGroupName: logGroupName(name, props.what),
      retention: props.logDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    });
    logGroup.grantWrite(role);
    acknowledge(
      role,
      `AwsSolutions-IAM5[Resource::<${Stack.of(this).getLogicalId(logGroup.node.defaultChild as logs.CfnLogGroup)}.Arn>]`,
      "The function writes only to its own log group's streams.",
    );
    if (props.files) allowNetworkInterfaces(role, functionName);
    this.function = new lambda.Function(this, 'Function', {
      functionName,
      description: props.description,
      runtime: lambda.Runtime.PROVIDED_AL2023,
      architecture: props.packages.architecture,
      handler: 'bootstrap',
      code: props.packages.code(props.package),
      memorySize: props.memoryMiB,
      timeout: props.timeout,
      role,
      logGroup,
      environment: { HIWAKE_PIPELINE: name, ...(props.files && { HIWAKE_ROOT: MOUNT }) },
      ...(props.files && {
        vpc: props.files.network.vpc,
        vpcSubnets: props.files.network.subnets,
        securityGroups: [props.files.network.writers],
        filesystem: new Mount(props.files.storage.writer, props.files.storage.fileSystem),
      }),
    });
    acknowledge(
      this.function,
      'AwsSolutions-L1',
      'provided.al2023 is the newest runtime for binaries.',
    );
  }
}

/**
 * Mounts the writer's access point, and nothing else. CDK's own grant would allow writes through
 * any access point.
 */
class Mount extends lambda.FileSystem {
  constructor(accessPoint: efs.IAccessPoint, fileSystem: efs.IFileSystem) {
    super({
      localMountPath: MOUNT,
      arn: accessPoint.accessPointArn,
      dependency: [fileSystem.mountTargetsAvailable],
      connections: fileSystem.connections as ec2.Connections,
      policies: [
        new iam.PolicyStatement({
          actions: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
          resources: [fileSystem.fileSystemArn],
          conditions: {
            StringEquals: { 'elasticfilesystem:AccessPointArn': accessPoint.accessPointArn },
          },
        }),
      ],
    });
  }
}

/**
 * Lambda creates network interfaces with the function's role. The function's own code is denied
 * these actions.
 */
function allowNetworkInterfaces(role: iam.Role, functionName: string): void {
  const actions = [
    'ec2:CreateNetworkInterface',
    'ec2:DeleteNetworkInterface',
    'ec2:DescribeNetworkInterfaces',
    'ec2:DescribeSubnets',
    'ec2:AssignPrivateIpAddresses',
    'ec2:UnassignPrivateIpAddresses',
  ];
  const arn = Stack.of(role).formatArn({
    service: 'lambda',
    resource: 'function',
    resourceName: functionName,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  role.addToPolicy(new iam.PolicyStatement({ actions, resources: ['*'] }));
  role.addToPolicy(
    new iam.PolicyStatement({
      effect: iam.Effect.DENY,
      actions,
      resources: ['*'],
      conditions: { ArnEquals: { 'lambda:SourceFunctionArn': arn } },
    }),
  );
  acknowledge(
    role,
    'AwsSolutions-IAM5[Resource::*]',
    'Lambda checks these permissions on all network interfaces before any exists.',
  );
}

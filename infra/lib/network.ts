// Where the functions that write files live: isolated subnets, the file system's door, and S3
// through a gateway endpoint, which is free. No NAT, no way to the internet.

import { Annotations, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

import { acknowledge } from './acknowledge.ts';
import type { Deployment } from './deployment.ts';

export class Network extends Construct {
  readonly vpc: ec2.IVpc;
  readonly subnets: ec2.SubnetSelection;
  /** Of land and seal. */
  readonly writers: ec2.SecurityGroup;
  /** The S3 endpoint of a VPC that is ours alone. */
  private readonly endpoint?: ec2.GatewayVpcEndpoint;

  constructor(scope: Construct, id: string, deployment: Deployment) {
    super(scope, id);
    if (deployment.vpcId) {
      const subnets = deployment.subnetIds.map((subnet) =>
        ec2.Subnet.fromSubnetId(this, subnet, subnet),
      );
      const id = '@aws-cdk/aws-ec2:noSubnetRouteTableId';
      for (const subnet of subnets)
        Annotations.of(subnet).acknowledgeWarning(id, 'The route tables are named by themselves.');
      this.vpc = ec2.Vpc.fromVpcAttributes(this, 'Vpc', {
        vpcId: deployment.vpcId,
        availabilityZones: ['those of the subnets'],
      });
      this.subnets = { subnets };
      this.endpointForOthers(deployment);
    } else {
      const vpc = this.isolated(deployment.zone ? [deployment.zone] : deployment.zones);
      this.vpc = vpc;
      this.subnets = { subnetType: ec2.SubnetType.PRIVATE_ISOLATED };
      this.endpoint = vpc.addGatewayEndpoint('S3', {
        service: ec2.GatewayVpcEndpointAwsService.S3,
      });
    }
    this.writers = new ec2.SecurityGroup(this, 'Writers', {
      vpc: this.vpc,
      description: 'hiwake: the functions that write the day files',
      allowAllOutbound: false,
    });
    // S3's addresses are a list that only AWS knows; the route table leads nowhere else.
    this.writers.addEgressRule(
      ec2.Peer.anyIpv4(),
      ec2.Port.tcp(443),
      'S3, by its gateway endpoint',
    );
  }

  /** A function in this VPC that is compromised cannot carry its data into a foreign bucket. */
  allowOnly(buckets: s3.IBucket[]): void {
    this.endpoint?.addToPolicy(
      new iam.PolicyStatement({
        // A gateway endpoint takes no other: not `{"AWS": "*"}`, which CDK's AnyPrincipal is.
        principals: [new iam.StarPrincipal()],
        actions: ['s3:GetObject', 's3:ListBucket'],
        resources: buckets.flatMap((bucket) => [bucket.bucketArn, bucket.arnForObjects('*')]),
      }),
    );
  }

  private isolated(zones: string[]): ec2.Vpc {
    const vpc = new ec2.Vpc(this, 'Vpc', {
      // Lambda refuses a subnet in a zone without a mount target, and a One Zone file system has
      // one in its own zone only.
      ...(zones.length > 0 ? { availabilityZones: zones } : { maxAzs: 2 }),
      natGateways: 0,
      // It would be a function of CDK's, with a log group of its own. Nothing uses that group.
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [
        { name: 'isolated', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
      ],
    });
    acknowledge(
      vpc,
      'AwsSolutions-VPC7',
      'There is nothing to watch: no way in, and out to S3 only; who mounts the files is in CloudTrail.',
    );
    return vpc;
  }

  /**
   * In a VPC that is not ours the endpoint carries other people's traffic too, so it has no policy.
   */
  private endpointForOthers(deployment: Deployment): void {
    if (deployment.routeTableIds.length === 0) return;
    new ec2.CfnVPCEndpoint(this, 'S3', {
      vpcId: this.vpc.vpcId,
      vpcEndpointType: 'Gateway',
      serviceName: `com.amazonaws.${Stack.of(this).region}.s3`,
      routeTableIds: deployment.routeTableIds,
    });
  }
}

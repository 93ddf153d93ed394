// The network of the functions that write files: isolated subnets, their security group, and S3
// through a gateway endpoint, which is free. No NAT, and no route to the internet.

import { Annotations, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

import { acknowledge } from './acknowledge.js';
import type { Deployment } from './deployment.js';

export class Network extends Construct {
  readonly vpc: ec2.IVpc;
  readonly subnets: ec2.SubnetSelection;
  /** The security group of land and seal. */
  readonly writers: ec2.SecurityGroup;
  /** The S3 endpoint of a VPC that the app makes. */
  private readonly endpoint?: ec2.GatewayVpcEndpoint;

  constructor(scope: Construct, id: string, deployment: Deployment) {
    super(scope, id);
    if (deployment.vpcId) {
      const subnets = deployment.subnetIds.map((subnet) =>
        ec2.Subnet.fromSubnetId(this, subnet, subnet),
      );
      const id = '@aws-cdk/aws-ec2:noSubnetRouteTableId';
      for (const subnet of subnets)
        Annotations.of(subnet).acknowledgeWarning(id, 'network.route_table_ids names them.');
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
    // Any address, because only AWS knows S3's; the route table leads nowhere else.
    this.writers.addEgressRule(
      ec2.Peer.anyIpv4(),
      ec2.Port.tcp(443),
      'S3, by its gateway endpoint',
    );
  }

  /** Keeps a compromised function in this VPC from copying data into a foreign bucket. */
  allowOnly(buckets: s3.IBucket[]): void {
    this.endpoint?.addToPolicy(
      new iam.PolicyStatement({
        // A gateway endpoint accepts no other: not CDK's AnyPrincipal, which is `{"AWS": "*"}`.
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
      // CDK would deploy a function with its own log group. Nothing uses the default group.
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [
        { name: 'isolated', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
      ],
    });
    acknowledge(
      vpc,
      'AwsSolutions-VPC7',
      'Flow logs would show little: nothing can connect in, and only S3 is reachable. CloudTrail has the mounts.',
    );
    return vpc;
  }

  /**
   * In an existing VPC the endpoint also carries the traffic of others, so it has no policy.
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

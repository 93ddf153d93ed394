// The whole pipeline, in the order of the data.

import { CfnOutput, CfnResource, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import type { Config } from './config.ts';
import type { Deployment } from './deployment.ts';
import { FLAGS } from './flags.ts';
import { Land } from './land.ts';
import { Monitoring } from './monitoring.ts';
import { setPipeline } from './names.ts';
import { Network } from './network.ts';
import type { Packages } from './package.ts';
import { Readers } from './readers.ts';
import { Seal, SEAL_EVENT } from './seal.ts';
import { Storage } from './storage.ts';
import { Stream } from './stream.ts';
import { Subscriptions } from './subscriptions.ts';
import { Transform } from './transform.ts';

export interface PipelineProps extends StackProps {
  readonly config: Config;
  readonly deployment: Deployment;
  readonly packages: Packages;
}

export class PipelineStack extends Stack {
  constructor(scope: Construct, id: string, props: PipelineProps) {
    super(scope, id, {
      description: 'hiwake: CloudWatch Logs to labelled daily files on EFS',
      ...props,
    });
    // In whatever app: the same template.
    for (const [flag, value] of Object.entries(FLAGS)) this.node.setContext(flag, value);
    setPipeline(this, { name: props.deployment.name, runbook: props.deployment.runbook });
    const network = new Network(this, 'Network', props.deployment);
    const storage = new Storage(this, 'Storage', { ...props, network });
    const transform = new Transform(this, 'Transform', props);
    const stream = new Stream(this, 'Stream', { ...props, storage, transform: transform.function });
    const seal = new Seal(this, 'Seal', { ...props, network, storage });
    // Slow: seal's function waits for the mount targets, then Lambda creates its network interface.
    const land = new Land(this, 'Land', { ...props, network, storage, slow: seal.function });
    // land.function includes its event source mapping, so whatever enters the stream now will land.
    const { stream: destination } = stream;
    new Subscriptions(this, 'Subscriptions', { ...props, destination, last: land.function });
    new Readers(this, 'Readers', { ...props, storage });
    new Monitoring(this, 'Monitoring', { ...props, stream, transform, land, seal });

    const outputs: Record<string, [string, string]> = {
      DeliveryBucket: [storage.delivery.bucketName, 'landing/ and failed/'],
      BackupBucket: [
        storage.backup.bucketName,
        'backup/: every record as received, for hiwake replay',
      ],
      NoticesQueue: [land.notices.queueUrl, 'for hiwake replay --queue'],
      DeadLetters: [land.dead.queueUrl, 'notices that were given up'],
      ReplayCommand: [
        `AWS_REGION=${this.region} hiwake replay s3://${storage.backup.bucketName}/backup --since 2d --queue ${land.notices.queueUrl}`,
        'lands what is missing from the last two days, and nothing twice',
      ],
      DoctorCommand: [
        `AWS_REGION=${this.region} hiwake doctor --pipeline ${props.deployment.name} --log-groups --alarms ` +
          `--queue ${land.notices.queueUrl} --prefix s3://${storage.delivery.bucketName}/landing/ ` +
          `--prefix s3://${storage.backup.bucketName}/backup/`,
        'checks the deployment; run it in the folder of hiwake.toml, with --root DIR where the files are mounted',
      ],
      SealCommand: [
        `aws lambda invoke --function-name ${seal.function.functionName} --region ${this.region} ` +
          `--cli-read-timeout 0 --cli-binary-format raw-in-base64-out --payload '${JSON.stringify(SEAL_EVENT)}' /dev/stdout`,
        'seals the days that have ended, now',
      ],
      FileSystem: [
        storage.fileSystem.fileSystemId,
        `the day files are in ${props.deployment.path}`,
      ],
    };
    for (const [id, [value, description]] of Object.entries(outputs))
      new CfnOutput(this, id, { value, description });
    this.refuseTooMany(props.config);
  }

  /** Before CDK does, which would not say what to do. */
  private refuseTooMany({ sources }: Config): void {
    const count = this.node.findAll().filter((one) => CfnResource.isCfnResource(one)).length;
    if (count <= RESOURCES_MAX) return;
    const filtered = sources.filter((source) => source.subscribe === 'filter');
    const groups = new Set(filtered.flatMap((source) => source.names)).size;
    throw new Error(
      `hiwake.toml: ${groups} log groups are named, and each needs a subscription filter. ` +
        `A stack holds ${RESOURCES_MAX} resources, and the pipeline itself has ${count - groups}: ` +
        `name at most ${RESOURCES_MAX - count + groups}. For all others write subscribe = "account" ` +
        '(one policy for the account), or "manual" (you subscribe them yourself), with globs',
    );
  }
}

/** The most resources that CloudFormation allows in a stack. */
const RESOURCES_MAX = 500;

// The whole pipeline, in the order of the data.

import { CfnOutput, CfnResource, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import type { Config } from './config.js';
import type { Deployment } from './deployment.js';
import { FLAGS } from './flags.js';
import { Land } from './land.js';
import { Monitoring } from './monitoring.js';
import { setPipeline } from './names.js';
import { Network } from './network.js';
import type { Packages } from './package.js';
import { Readers } from './readers.js';
import { Seal, SEAL_EVENT } from './seal.js';
import { Storage } from './storage.js';
import { Stream } from './stream.js';
import { Subscriptions } from './subscriptions.js';
import { Transform } from './transform.js';

/** The stack has the pipeline's name, `name` of the deployment, whatever its id. */
export interface PipelineProps extends Omit<StackProps, 'stackName'> {
  readonly config: Config;
  readonly deployment: Deployment;
  readonly packages: Packages;
}

export class PipelineStack extends Stack {
  constructor(scope: Construct, id: string, props: PipelineProps) {
    super(scope, id, {
      description: 'hiwake: CloudWatch Logs to labelled daily files on EFS',
      ...props,
      stackName: props.deployment.name,
    });
    this.refuseTwin();
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
    const { stream: destination } = stream;
    const last = land.mapping;
    const subscriptions = new Subscriptions(this, 'Subscriptions', { ...props, destination, last });
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
    // All else comes before land reads its queue, and that before the subscriptions: an event that
    // is put into the stream lands. One resource in between keeps the template below its 1 MB.
    for (const one of this.node.findAll().filter(CfnResource.isCfnResource))
      if (one !== last && !subscriptions.made.includes(one)) last.addResourceDependency(one);
    for (const [id, [value, description]] of Object.entries(outputs))
      new CfnOutput(this, id, { value, description });
    this.node.addValidation({ validate: () => this.tooMany(props.config) });
  }

  /** Of stages that read one deployment.toml. CDK does not look beyond a stage. */
  private refuseTwin(): void {
    const twin = this.node.root.node
      .findAll()
      .filter((one) => one instanceof PipelineStack && one !== this)
      .map((one) => one as PipelineStack)
      .find((one) => one.stackName === this.stackName && one.environment === this.environment);
    if (!twin) return;
    throw new Error(
      `${twin.node.path} and ${this.node.path} are both named ${this.stackName} in ${this.environment}: ` +
        'the second would replace the first. Give each its own `name` in deployment.toml',
    );
  }

  /**
   * At synthesis, with what the app and CDK have added; before CDK counts, which would not say what
   * to do.
   */
  private tooMany({ sources }: Config): string[] {
    const resources = this.node.findAll().filter((one) => CfnResource.isCfnResource(one));
    const count = resources.filter((one) => Stack.of(one) === this).length;
    if (count <= RESOURCES_MAX) return [];
    const filtered = sources.filter((source) => source.subscribe === 'filter');
    const groups = new Set(filtered.flatMap((source) => source.names)).size;
    return [
      `hiwake.toml: ${groups} log groups are named, and each needs a subscription filter. ` +
        `A stack holds ${RESOURCES_MAX} resources, and all others are ${count - groups}: ` +
        `name at most ${RESOURCES_MAX - count + groups}. For all others write subscribe = "account" ` +
        '(one policy for the account), or "manual" (you subscribe them yourself), with globs',
    ];
  }
}

/** The most resources that CloudFormation allows in a stack. */
const RESOURCES_MAX = 500;

// The pipeline as a construct, for an app of your own:
//
//   new Hiwake(app, 'logs', { config: 'hiwake.toml', packages: 'path/to/target/lambda' });
//
// Paths are relative to the working folder. Faults in the operator's files are thrown as one Error,
// whose message names them all.

// For apps whose tsconfig names no types.
/// <reference types="node" />

import type { Construct } from 'constructs';

import { checked } from './checker.js';
import { loadConfig } from './config.js';
import { type Deployment, loadDeployment, readDeployment } from './deployment.js';
import { Packages } from './package.js';
import { type PipelineProps, PipelineStack } from './pipeline.js';

export { type Config, loadConfig, readConfig } from './config.js';
export { type Deployment, loadDeployment, readDeployment } from './deployment.js';
export { Packages } from './package.js';
export { type PipelineProps, PipelineStack } from './pipeline.js';

export interface HiwakeProps
  extends Omit<PipelineProps, 'config' | 'deployment' | 'packages'> {
  /** hiwake.toml. */
  readonly config: string;
  /** The folder of `{transform,land}/bootstrap.zip`, from `make lambda` or a release. */
  readonly packages: string;
  /** The path of deployment.toml, or its values; the default is an empty file. */
  readonly deployment?: string | Deployment | undefined;
}

/** A stack with the whole pipeline. Both have the `name` of the deployment, whatever the id. */
export class Hiwake extends PipelineStack {
  constructor(scope: Construct, id: string, props: HiwakeProps) {
    const { config: file, packages: built, deployment: given, ...stack } = props;
    const deployment = typeof given === 'string' ? loadDeployment(given) : given;
    for (const warning of checked(file, built)) console.error(`warning: ${warning}`);
    const config = loadConfig(file);
    const packages = new Packages(built, config.toml);
    super(scope, id, {
      ...stack,
      config,
      packages,
      deployment: deployment ?? readDeployment(''),
    });
  }
}

// `npx cdk deploy`: reads deployment.toml and the project's hiwake.toml, and needs the packages of
// `make lambda`. -c deployment=…, -c config=… and -c packages=… name other places.

import { fileURLToPath } from 'node:url';

import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';

import { FLAGS } from '../lib/flags.js';
import { Hiwake, loadDeployment } from '../lib/index.js';

const app = new App({ context: FLAGS });
const path = (key: string, byDefault: string): string =>
  app.node.tryGetContext(key) ?? fileURLToPath(new URL(byDefault, import.meta.url));

try {
  const deployment = loadDeployment(path('deployment', '../deployment.toml'));
  const file = path('config', '../../hiwake.toml');
  const built = path('packages', '../../target/lambda');
  new Hiwake(app, deployment.name, { config: file, deployment, packages: built });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app, { verbose: true }));
  app.synth();
} catch (error) {
  // The fault is in the operator's files, so a stack trace would not help.
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

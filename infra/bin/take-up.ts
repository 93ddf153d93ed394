// `npx tsx bin/take-up.ts --file-system fs-… --delivery BUCKET --backup BUCKET`, after `npx cdk
// synth`: writes the template that imports what a removed stack left behind, and prints the
// commands of the import.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { loadDeployment } from '../lib/deployment.js';
import { textOf } from '../lib/schema.js';
import { takeUp, templateFile, USAGE } from '../lib/take-up.js';

const usage = `npx tsx bin/take-up.ts ${USAGE} [--deployment FILE] [--assembly FOLDER]`;

try {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      'file-system': text,
      delivery: text,
      backup: text,
      deployment: { ...text, default: 'deployment.toml' },
      assembly: { ...text, default: 'cdk.out' },
    },
  });
  const { deployment, assembly, ...left } = values;
  if (Object.keys(left).length === 0) throw new Error(`name what to take up: ${usage}`);
  const { name } = loadDeployment(deployment);
  const remedy = 'run `npx cdk synth`, or name its folder: --assembly';
  const read = (file: string) => JSON.parse(textOf(`${assembly}/${file}`, remedy));
  const file = templateFile(read('manifest.json'), name);
  const { template, resources } = takeUp(read(file), left);
  const write = (file: string, value: unknown): string => {
    const path = `${assembly}/take-up.${file}.json`;
    writeFileSync(path, JSON.stringify(value, null, 1));
    return `file://${path}`;
  };
  const aws = (command: string): string => `aws cloudformation ${command} --stack-name ${name}`;
  const change = '--change-set-name take-up';
  console.log(
    [
      `${aws('create-change-set')} ${change} --change-set-type IMPORT \\`,
      `    --template-body ${write('template', template)} \\`,
      `    --resources-to-import ${write('resources', resources)}`,
      `${aws('wait change-set-create-complete')} ${change}`,
      `${aws('execute-change-set')} ${change}`,
      aws('wait stack-import-complete'),
      'npx cdk deploy',
    ].join('\n'),
  );
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

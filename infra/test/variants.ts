// `npx tsx test/variants.ts FOLDER`: writes a template for each way to deploy, to be checked.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { READERS, templateOf } from './pipeline.js';

const ACCOUNT = '[[source]]\nlog_groups = ["*"]\nsubscribe = "account"';
const FIELDS = '[[source]]\nlog_groups = ["/a"]\ncolumns = ["{account}", "{region}"]';
const EXISTING = `
[network]
vpc_id = "vpc-0aaaaaaa"
subnet_ids = ["subnet-0aaaaaaa", "subnet-0bbbbbbb"]
route_table_ids = ["rtb-0aaaaaaa"]
[efs]
file_system_id = "fs-0aaaaaaa"
security_group_id = "sg-0eeeeeee"
`;
const TOLD = `
[tell]
alarms = "arn:aws:sns:us-east-1:123456789012:a"
sealed = "arn:aws:sns:us-east-1:123456789012:b"
key = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
`;

/** Together they make every resource and set every property that the app knows. */
export const VARIANTS: Record<string, Parameters<typeof templateOf>[0]> = {
  default: {},
  fields: { hiwake: FIELDS },
  readers: { deployment: READERS },
  account: { hiwake: ACCOUNT },
  existing: { deployment: EXISTING },
  told: { deployment: TOLD },
  bursting: { deployment: '[efs]\nthroughput = "bursting"\nia_days = 30' },
  archive: { deployment: '[efs]\narchive_days = 90\n[storage]\nefs_backups = true' },
  zone: { deployment: '[efs]\none_zone = "us-east-1a"' },
  destroy: { deployment: 'removal = "destroy"' },
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = 'cdk.out/variants'] = process.argv.slice(2);
  mkdirSync(folder, { recursive: true });
  for (const [name, given] of Object.entries(VARIANTS)) {
    const template = JSON.stringify(templateOf(given).toJSON(), null, 1);
    writeFileSync(join(folder, `${name}.json`), template);
  }
}

// cdk-nag's AwsSolutions finds only what is acknowledged, and every acknowledgement has a reason.

import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, test } from 'vitest';

import { projectFile, READERS, stackOf } from './pipeline.js';

const existing = `
[network]
vpc_id = "vpc-0aaaaaaa"
subnet_ids = ["subnet-0aaaaaaa", "subnet-0bbbbbbb"]
route_table_ids = ["rtb-0aaaaaaa"]
[efs]
file_system_id = "fs-0aaaaaaa"
security_group_id = "sg-0eeeeeee"
`;
const told =
  '[tell]\nalarms = "arn:aws:sns:ap-northeast-1:123456789012:a"\nsealed = "arn:aws:sns:ap-northeast-1:123456789012:b"';

describe('AwsSolutions', () => {
  test.each([
    ['by default', ''],
    ['with readers', READERS],
    ['in an existing VPC', existing],
    ['with topics', told],
    ['bursting', '[efs]\nthroughput = "bursting"'],
    ['in one zone', '[efs]\none_zone = "us-east-1a"'],
    ['to try it out', 'removal = "destroy"\n[storage]\nefs_backups = true'],
  ])('%s', (_, deployment) => {
    const { app } = stackOf({ hiwake: projectFile('hiwake.toml'), deployment });
    const { violations } = new AwsSolutionsChecks(app).validateScope(app);
    expect(violations.map((one) => [one.ruleName, JSON.stringify(one)])).toEqual([]);
  });

  test('each acknowledgement says why', () => {
    const { stack } = stackOf({ hiwake: projectFile('hiwake.toml') });
    const entries = stack.node
      .findAll()
      .flatMap((one) => one.node.metadata)
      .filter((one) => /acknowledge/i.test(one.type));
    const reasons = entries.flatMap((one) => Object.entries(one.data as Record<string, unknown>));
    expect(reasons.length).toBeGreaterThan(10);
    for (const [id, reason] of reasons) expect(String(reason).length, id).toBeGreaterThan(20);
  });
});

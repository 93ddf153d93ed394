import { describe, expect, test } from 'vitest';

import { readConfig, seconds } from '../lib/config.ts';
import { readDeployment } from '../lib/deployment.ts';
import { projectFile } from './pipeline.ts';

describe('hiwake.toml', () => {
  test('the sample, and its defaults', () => {
    const { toml, sources, ...rest } = readConfig(projectFile('hiwake.toml'));
    expect(toml).toBe(projectFile('hiwake.toml'));
    expect(rest).toEqual({ timezone: 'Asia/Tokyo', graceSeconds: 3600, journalDays: 90 });
    expect(sources).toEqual([
      { index: 1, names: ['/var/log/messages'], globs: [], filterPattern: '', subscribe: 'filter' },
      { index: 2, names: [], globs: ['/aws/lambda/*'], filterPattern: '', subscribe: 'account' },
    ]);
  });

  test('what is wrong is named, all of it, before anything is deployed', () => {
    const wrong = '[[source]]\nlog_grops = ["/a"]\n[seal]\njournal_days = "90"';
    expect(() => readConfig(wrong, 'bad.toml')).toThrow(/bad.toml: seal.journal_days: must be integer[^]*bad.toml: source.0.log_grops: unknown key/);
  });

  test.each([['1h', 3600], ['90m', 5400], ['1h 30m', 5400], ['2days', 172_800], ['0s', 0], ['1week', 604_800], ['20 minutes', 1200]])(
    '%s is %i seconds', (text, expected) => expect(seconds(text, 'hiwake.toml')).toBe(expected),
  );

  test.each(['soon', '1.5h', '', '3 fortnights'])('%s is not a valid duration', (text) => {
    expect(() => seconds(text, 'hiwake.toml')).toThrow('is not a valid duration');
  });
});

describe('deployment.toml', () => {
  test('what is commented out is the default', () => {
    const written = projectFile('infra/deployment.toml');
    const settings = /^# ?(\w+ *= (?:"(?!vpc-…|fs-…|sg-…|arn:)[^"]*"|\d+|true|false|\[\]))/gm;
    const stated = written.replaceAll(settings, '$1');
    expect(stated.match(/^\w+ *=/gm)?.length).toBeGreaterThan(10);
    expect(readDeployment(stated)).toEqual(readDeployment(written));
    expect(readDeployment(written)).toEqual(readDeployment(''));
  });

  test('every fault at once, unknown keys among them', () => {
    const wrong = 'nmae = "x"\nstream = 1\nremoval = "keep"\nlog_days = 8\n[land]\nconcurrency = 1\n[lnad]\nx = 1\n[efs]\npath = "relative"\nuid = 0\n[readers]\nroles = ["me"]';
    const faults = [
      'removal: write retain or destroy', 'log_days: write one of', 'land.concurrency: write 2 to 10', 'efs.path: write a path',
      'efs.uid: write 1 to', 'nmae: unknown key', 'lnad: unknown key', 'stream: write a table', 'readers.roles.0: write arn:',
    ];
    for (const fault of faults) expect(() => readDeployment(wrong)).toThrow(`deployment.toml: ${fault}`);
  });

  test('what goes together', () => {
    expect(() => readDeployment('[efs]\nfile_system_id = "fs-0aaaaaaa"')).toThrow('security_group_id go together');
    expect(() => readDeployment('[network]\nvpc_id = "vpc-0aaaaaaa"')).toThrow('subnet_ids go together');
    expect(() => readDeployment('[network]\nroute_table_ids = ["rtb-0aaaaaaa"]')).toThrow('write network.vpc_id');
  });

  test("the name fits what S3's notices are admitted by: the first 24 characters of CloudFormation's bucket names", () => {
    expect(readDeployment('name = "a2345678901234567890"').name).toHaveLength(20);
    expect(() => readDeployment('name = "a23456789012345678901"')).toThrow('name: write 2 to 20');
  });
});

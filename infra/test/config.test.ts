import { describe, expect, test } from 'vitest';

import { loadConfig, readConfig, seconds } from '../lib/config.js';
import { loadDeployment, readDeployment } from '../lib/deployment.js';
import { projectFile } from './pipeline.js';

describe('hiwake.toml', () => {
  const PLAIN = {
    names: [],
    globs: [],
    exclude: [],
    filterPattern: '',
    subscribe: 'filter',
    systemFields: [],
  };

  test('the sample is valid, and has the defaults', () => {
    const { toml, sources, ...rest } = readConfig(projectFile('hiwake.toml'));
    expect(toml).toBe(projectFile('hiwake.toml'));
    expect(rest).toEqual({ timezone: 'Asia/Tokyo', graceSeconds: 3600, journalDays: 90 });
    expect(sources).toEqual([
      { ...PLAIN, index: 1, names: ['/var/log/messages'] },
      { ...PLAIN, index: 2, globs: ['/aws/lambda/*'], subscribe: 'manual' },
    ]);
  });

  test('a source that lacks a key takes it from [defaults]; a group with a capture is not a name', () => {
    const defaults = '[defaults]\nsubscribe = "manual"\nfilter_pattern = "x"\n';
    const sources = '[[source]]\nlog_groups = ["/a", "/ecs/{team}-x"]\nsubscribe = "filter"\n';
    expect(readConfig(defaults + sources).sources).toEqual([
      { ...PLAIN, index: 1, names: ['/a'], globs: ['/ecs/{team}-x'], filterPattern: 'x' },
    ]);
  });

  // It got a filter, so its events went into [unmatched] and were paid for.
  test('an excluded log group is not named, whatever the glob', () => {
    const groups = '["/a.b", "/axb", "/team/x/web", "/team/y", "/c"]';
    const named = (exclude: string): string[] | undefined =>
      readConfig(`[[source]]\nlog_groups = ${groups}\nexclude = ${exclude}\n`).sources[0]?.names;
    expect(named('[]')).toHaveLength(5);
    expect(named('["/a.b", "/team/{name}"]')).toEqual(['/axb', '/team/x/web', '/c']);
    expect(named('["/team/*", "/?"]')).toEqual(['/a.b', '/axb']);
  });

  test('all faults are named before anything is deployed', () => {
    const wrong = '[[source]]\nlog_grops = ["/a"]\n[seal]\njournal_days = "90"';
    expect(() => readConfig(wrong, 'bad.toml')).toThrow(
      /bad.toml: seal.journal_days: must be integer[^]*bad.toml: source.0.log_grops: unknown key/,
    );
  });

  test.each([
    ['1h', 3600],
    ['90m', 5400],
    ['1h 30m', 5400],
    ['2days', 172_800],
    ['0s', 0],
    ['1week', 604_800],
    ['20 minutes', 1200],
    ['500ms', 1],
    ['1.1h', 3960],
    ['7days', 604_800],
  ])('%s is %i seconds', (text, expected) => expect(seconds(text, 'hiwake.toml')).toBe(expected));

  test.each(['soon', '1.h', '', '3 fortnights'])('%s is not a valid duration', (text) => {
    expect(() => seconds(text, 'hiwake.toml')).toThrow('is not a valid duration');
  });
});

describe('a file', () => {
  test.each([loadConfig, loadDeployment])('that is not there is named', (load) =>
    expect(() => load('/nope/a.toml')).toThrow(
      new Error('/nope/a.toml: cannot be read (ENOENT): write the path of a file that exists'),
    ),
  );

  test.each([readConfig, readDeployment])('that is not TOML is named, with the line', (read) =>
    expect(() => read('a = 1\nb = = 2', 'x.toml')).toThrow(/^x\.toml: .*\n[^]*2:/),
  );
});

describe('deployment.toml', () => {
  test('every commented-out value is the default', () => {
    const written = projectFile('infra/deployment.toml');
    const settings = /^# ?(\w+ *= (?:"(?!vpc-…|fs-…|sg-…|arn:)[^"]*"|\d+|true|false|\[\]))/gm;
    const stated = written.replaceAll(settings, '$1');
    expect(stated.match(/^\w+ *=/gm)?.length).toBeGreaterThan(10);
    expect(readDeployment(stated)).toEqual(readDeployment(written));
    expect(readDeployment(written)).toEqual(readDeployment(''));
  });

  test('all faults are named at once, including unknown keys', () => {
    const wrong =
      'nmae = "x"\nstream = 1\nremoval = "keep"\nlog_days = 8\n[land]\nconcurrency = 1\n[lnad]\nx = 1\n[efs]\npath = "relative"\nuid = 0\n[readers]\nroles = ["me"]';
    const faults = [
      'removal: write retain or destroy',
      'log_days: write one of',
      'land.concurrency: write 2 to 10',
      'efs.path: write a path',
      'efs.uid: write 1 to',
      'nmae: unknown key',
      'lnad: unknown key',
      'stream: write a table',
      'readers.roles.0: write arn:',
    ];
    for (const fault of faults)
      expect(() => readDeployment(wrong)).toThrow(`deployment.toml: ${fault}`);
  });

  test('a path may have points in its names', () =>
    expect(readDeployment('[efs]\npath = "/a/.b/c..d"').path).toBe('/a/.b/c..d'));

  test('readers without permission are refused together with all other faults', () => {
    const wrong = `[network]\nvpc_id = "vpc-0aaaaaaa"\n[readers]\nsecurity_groups = ["sg-0aaaaaaa"]`;
    expect(() => readDeployment(wrong)).toThrow(
      /network: write both vpc_id and subnet_ids.*\n.*readers: write both security_groups and roles/,
    );
  });

  test('keys that need each other are refused alone', () => {
    expect(() => readDeployment('[efs]\nfile_system_id = "fs-0aaaaaaa"')).toThrow(
      'write both file_system_id and security_group_id',
    );
    expect(() => readDeployment('[network]\nvpc_id = "vpc-0aaaaaaa"')).toThrow(
      'write both vpc_id and subnet_ids',
    );
    expect(() => readDeployment('[network]\nroute_table_ids = ["rtb-0aaaaaaa"]')).toThrow(
      'write network.vpc_id',
    );
  });

  test.each([
    [
      '[network]\nzones = ["us-east-1a"]',
      'network.zones: one zone is too few; write two, or efs.one_zone',
    ],
    [
      '[network]\nzones = ["us-east-1a", "us-east-1a"]',
      'network.zones: write two or three Availability Zones, each once',
    ],
    ['[network]\nzones = ["a", "b"]', 'network.zones.0: write the name of an Availability Zone'],
    [
      '[network]\nzones = ["us-east-1a", "us-east-1b"]\n[efs]\none_zone = "us-east-1a"',
      'network.zones: applies only to a VPC that the app makes',
    ],
    [
      '[tell]\nkey = "arn:aws:kms:us-east-1:123456789012:key/1"',
      'tell.key: is of use only with a topic; write tell.alarms',
    ],
    [
      '[tell]\nsealed = "arn:aws:sns:us-east-1:123456789012:s"\nkey = "alias/aws/sns"',
      'tell.key: write arn:aws:kms:…:key/…',
    ],
    // Each of these failed in the middle of a deployment.
    [
      '[network]\nzones = ["us-east-1a", "us-west-2b"]',
      'network.zones: are in us-east-1 and us-west-2; write zones of one region',
    ],
    [
      '[network]\nvpc_id = "vpc-0aaaaaaa"\nsubnet_ids = ["subnet-0aaaaaaa", "subnet-0aaaaaaa"]',
      'network.subnet_ids: write a list of subnet-…, each once',
    ],
    [
      '[readers]\nsecurity_groups = ["sg-0aaaaaaa", "sg-0aaaaaaa"]',
      'readers.security_groups: write a list of sg-…, each once',
    ],
    ['[efs]\npath = "/a/../b"', 'efs.path: write a path of at most four folders'],
    ['[efs]\npath = "/."', 'efs.path: write a path of at most four folders'],
  ])('%s is refused', (wrong, fault) =>
    expect(() => readDeployment(wrong)).toThrow(`deployment.toml: ${fault}`),
  );

  test('efs_backups is refused for an existing file system, not ignored', () => {
    const existing = `[storage]\nefs_backups = true\n${EXISTING}file_system_id = "fs-0aaaaaaa"\nsecurity_group_id = "sg-0eeeeeee"\n`;
    expect(() => readDeployment(existing)).toThrow(
      'storage.efs_backups: an existing file system keeps its own backup policy',
    );
  });

  const EXISTING =
    '[network]\nvpc_id = "vpc-0aaaaaaa"\nsubnet_ids = ["subnet-0aaaaaaa", "subnet-0bbbbbbb"]\n[efs]\n';

  test.each([
    [
      'Archive with bursting',
      '[efs]\nthroughput = "bursting"\narchive_days = 90',
      'archive_days: EFS has Archive only with elastic throughput; write',
    ],
    [
      'Archive in one zone',
      '[efs]\none_zone = "us-east-1a"\narchive_days = 90',
      'archive_days: EFS has no Archive in One Zone file systems; write',
    ],
    [
      'Archive with Infrequent Access',
      '[efs]\nia_days = 30\narchive_days = 30',
      'archive_days: EFS moves a file to Infrequent Access before',
    ],
    [
      'Archive before Infrequent Access',
      '[efs]\narchive_days = 1',
      'archive_days: EFS moves a file to Infrequent Access before',
    ],
    [
      'Archive without Infrequent Access',
      '[efs]\nia_days = 0\narchive_days = 7',
      'archive_days: EFS moves a file to Infrequent Access before',
    ],
    [
      'two subnets for one zone',
      `${EXISTING}one_zone = "us-east-1a"`,
      'one_zone: the file system has one mount target, and Lambda refuses a subnet in a zone',
    ],
    [
      'one zone without its name',
      '[efs]\none_zone = true',
      'one_zone: write false, or the name of an Availability Zone',
    ],
    [
      'a region for a zone',
      '[efs]\none_zone = "us-east-1"',
      'one_zone: write false, or the name of an Availability Zone',
    ],
    ['days that EFS does not have', '[efs]\nia_days = 2', 'ia_days: write one of 0 1 7 14'],
    ['another mode', '[efs]\nthroughput = "provisioned"', 'throughput: write elastic or bursting'],
  ])('%s is refused, with a remedy', (_, wrong, fault) => {
    expect(() => readDeployment(wrong)).toThrow(
      new RegExp(`^deployment.toml: efs.${fault}[^\\n]*$`),
    );
  });

  test.each(['throughput = "elastic"', 'one_zone = false', 'ia_days = 1', 'archive_days = 0'])(
    '%s of an existing file system is refused, even a default',
    (key) => {
      const existing = `${EXISTING}file_system_id = "fs-0aaaaaaa"\nsecurity_group_id = "sg-0eeeeeee"\n`;
      expect(readDeployment(existing).fileSystemId).toBe('fs-0aaaaaaa');
      const fault = `deployment.toml: efs.${key.split(' ')[0]}: an existing file system keeps its own setting; change it there, and remove this key`;
      expect(() => readDeployment(existing + key)).toThrow(new Error(fault));
    },
  );

  test('the name has 20 characters at most', () => {
    expect(readDeployment('name = "a2345678901234567890"').name).toHaveLength(20);
    expect(() => readDeployment('name = "a23456789012345678901"')).toThrow('name: write 2 to 20');
  });
});

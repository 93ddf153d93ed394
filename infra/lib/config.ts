// The part of the operator's hiwake.toml that the deployment depends on.
//
// The bootstrap checks the whole file (checker.ts), but only on Linux x86-64. So its form is also
// checked here, against the schema that `hiwake config schema` prints (contract/, held by a Rust
// test).

import { readFileSync } from 'node:fs';

import { parse } from 'smol-toml';

import { faultsOf } from './schema.ts';

export interface Source {
  /** Its position in the file, counted from 1 as in `hiwake config`. */
  readonly index: number;
  /** Log groups that are named without a glob, and not excluded. */
  readonly names: string[];
  readonly globs: string[];
  readonly filterPattern: string;
  readonly subscribe: 'filter' | 'account' | 'manual';
}

export interface Config {
  /** The whole text, which is packaged beside the binaries. */
  readonly toml: string;
  readonly timezone: string;
  readonly sources: Source[];
  readonly graceSeconds: number;
  readonly journalDays: number;
}

interface Subscribed {
  filter_pattern?: string;
  subscribe?: Source['subscribe'];
}

interface File {
  timezone?: string;
  defaults?: Subscribed;
  source?: ({ log_groups: string[]; exclude?: string[] } & Subscribed)[];
  seal?: { grace?: string; journal_days?: number };
}

export function loadConfig(path: string): Config {
  return readConfig(readFileSync(path, 'utf8'), path);
}

export function readConfig(toml: string, name = 'hiwake.toml'): Config {
  const file = parse(toml) as File;
  // First, because the schema's defaults would override [defaults].
  file.source = file.source?.map((own) => ({ ...file.defaults, ...own }));
  const faults = faultsOf(file, 'hiwake').map((fault) => `${name}: ${fault}`);
  if (faults.length > 0) throw new Error([...faults, 'run `hiwake config check` for more'].join('\n'));
  return {
    toml,
    timezone: file.timezone ?? 'Asia/Tokyo',
    sources: (file.source ?? []).map((source, at) => ({
      index: at + 1,
      names: source.log_groups.filter(
        (group) => !isGlob(group) && !source.exclude?.some((glob) => matches(glob, group)),
      ),
      globs: source.log_groups.filter(isGlob),
      filterPattern: source.filter_pattern ?? '',
      subscribe: source.subscribe ?? 'filter',
    })),
    graceSeconds: seconds(file.seal?.grace ?? '1h', name),
    journalDays: file.seal?.journal_days ?? 90,
  };
}

function isGlob(group: string): boolean {
  return /[*?{]/.test(group);
}

/** Matches as the binaries do: `*` is any text, `?` one character, a capture part of a path. */
function matches(glob: string, group: string): boolean {
  const pieces: Record<string, string> = { '*': '.*', '?': '.', '{': '[^/]+' };
  const piece = (one: string): string => pieces[one.charAt(0)] ?? `\\${one}`;
  const pattern = glob.replaceAll(/[*?]|\{\w+\}|[^\w/]/g, piece);
  return new RegExp(`^${pattern}$`).test(group);
}

const UNITS: [RegExp, number][] = [
  [/^(seconds?|secs?|s)$/, 1],
  [/^(minutes?|mins?|m)$/, 60],
  [/^(hours?|hrs?|h)$/, 3600],
  [/^(days?|d)$/, 86400],
  [/^(weeks?|wks?|wk|w)$/, 604800],
];

/** The seconds of a duration in `hiwake.toml`, e.g. `1h 30m`. */
export function seconds(text: string, name: string): number {
  const parts = [...text.matchAll(/(\d+)\s*([a-z]+)/g)];
  const rest = text.replaceAll(/(\d+)\s*([a-z]+)/g, '').trim();
  const values = parts.map(([, count, unit]) => {
    const found = UNITS.find(([pattern]) => pattern.test(unit ?? ''));
    return found && Number(count) * found[1];
  });
  const whole = values.reduce(
    (sum: number | undefined, value) =>
      sum === undefined || value === undefined ? undefined : sum + value,
    0,
  );
  if (rest !== '' || parts.length === 0 || whole === undefined) {
    throw new Error(
      `${name}: seal.grace: ${text} is not a valid duration; write e.g. "1h" or "90m"`,
    );
  }
  return whole;
}

// The operator's hiwake.toml, as far as the deployment depends on it.
//
// The bootstrap that is deployed has checked it (checker.ts) where it runs. Elsewhere its form is
// checked, against the schema that `hiwake config schema` prints (contract/, kept equal by a test
// of the Rust side).

import { readFileSync } from 'node:fs';

import { parse } from 'smol-toml';

import { faultsOf } from './schema.ts';

export interface Source {
  /** In the order of the file, from 1, as `hiwake config` counts them. */
  readonly index: number;
  /** Log groups without a glob that `exclude` does not take out. */
  readonly names: string[];
  readonly globs: string[];
  /** Names and globs that it leaves to others. */
  readonly exclude: string[];
  readonly filterPattern: string;
  readonly subscribe: 'filter' | 'account' | 'manual';
  /** Fields of an event that its columns need, and that a subscription emits only when asked. */
  readonly systemFields: string[];
}

const SYSTEM_FIELDS = { '{account}': '@aws.account', '{region}': '@aws.region' };

export interface Config {
  /** The file itself: it is put beside the binaries. */
  readonly toml: string;
  readonly timezone: string;
  readonly sources: Source[];
  readonly graceSeconds: number;
  readonly journalDays: number;
}

interface Subscribed {
  columns?: string[];
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
  // Before the schema's defaults are filled in.
  file.source = file.source?.map((own) => ({ ...file.defaults, ...own }));
  const faults = faultsOf(file, 'hiwake').map((fault) => `${name}: ${fault}`);
  if (faults.length > 0) throw new Error([...faults, 'hiwake config check says more'].join('\n'));
  return {
    toml,
    timezone: file.timezone ?? 'Asia/Tokyo',
    sources: (file.source ?? []).map((source, at) => ({
      index: at + 1,
      names: source.log_groups.filter(
        (group) => !isGlob(group) && !source.exclude?.some((glob) => matches(glob, group)),
      ),
      globs: source.log_groups.filter(isGlob),
      exclude: source.exclude ?? [],
      filterPattern: source.filter_pattern ?? '',
      subscribe: source.subscribe ?? 'filter',
      systemFields: Object.entries(SYSTEM_FIELDS)
        .filter(([column]) => source.columns?.includes(column))
        .map(([, field]) => field),
    })),
    graceSeconds: seconds(file.seal?.grace ?? '1h', name),
    journalDays: file.seal?.journal_days ?? 90,
  };
}

/** Whether a log group's events can be a source's. */
export function takes({ names, globs, exclude }: Source, group: string): boolean {
  const any = (of: string[]): boolean => of.some((glob) => matches(glob, group));
  return names.includes(group) || (any(globs) && !any(exclude));
}

export function isGlob(group: string): boolean {
  return /[*?{]/.test(group);
}

/** As the binaries match it: `*` is any text, `?` one character, a capture a part of a path. */
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

/** A duration as `hiwake.toml` writes it, e.g. `1h 30m`. */
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

// The part of the operator's hiwake.toml that the deployment depends on.
//
// The bootstrap checks the whole file (checker.ts), but only on Linux x86-64. So its form is also
// checked here, against the schema that `hiwake config schema` prints (contract/, held by a Rust
// test).

import { faultsOf, tableOf, textOf } from './schema.js';

export interface Source {
  /** Its position in the file, counted from 1 as in `hiwake config`. */
  readonly index: number;
  /** Log groups that are named without a glob, and not excluded. */
  readonly names: string[];
  readonly globs: string[];
  /** Names and globs of log groups that it leaves to other sources. */
  readonly exclude: string[];
  readonly filterPattern: string;
  readonly subscribe: 'filter' | 'account' | 'manual';
  /** Fields of an event that its columns need, and that a subscription sends only on request. */
  readonly systemFields: string[];
}

const SYSTEM_FIELDS = { '{account}': '@aws.account', '{region}': '@aws.region' };

export interface Config {
  /** The whole text, which is packaged beside the binaries. */
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
  return readConfig(textOf(path), path);
}

export function readConfig(toml: string, name = 'hiwake.toml'): Config {
  const file = tableOf(toml, name) as File;
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

/** Matches as the binaries do: `*` is any text, `?` one character, a capture part of a path. */
function matches(glob: string, group: string): boolean {
  const pieces: Record<string, string> = { '*': '.*', '?': '.', '{': '[^/]+' };
  const piece = (one: string): string => pieces[one.charAt(0)] ?? `\\${one}`;
  const pattern = glob.replaceAll(/[*?]|\{\w+\}|[^\w/]/g, piece);
  return new RegExp(`^${pattern}$`).test(group);
}

/** Those of the binaries' parser, humantime. */
const UNITS: [RegExp, number][] = [
  [/^(nanos|nsec|ns)$/, 1e-9],
  [/^(usec|us|µs)$/, 1e-6],
  [/^(millis|msec|ms)$/, 1e-3],
  [/^(seconds?|secs?|s)$/, 1],
  [/^(minutes?|mins?|m)$/, 60],
  [/^(hours?|hrs?|h)$/, 3600],
  [/^(days?|d)$/, 86_400],
  [/^(weeks?|wks?|w)$/, 604_800],
  [/^(months?|M)$/, 2_630_016],
  [/^(years?|yrs?|y)$/, 31_557_600],
];
const GRACE_MAX = 604_800;

/**
 * `seal.grace` in whole seconds, rounded up. The bootstrap decides what is valid; this takes at
 * least that, because it is asked alone where no bootstrap runs.
 */
export function seconds(text: string, name: string): number {
  const part = /(\d[\d\s]*(?:\.[\d\s]+)?)([a-zµM]+)\s*/g;
  const parts = [...text.matchAll(part)].map(([, count = '', unit = '']) => {
    const [, each] = UNITS.find(([pattern]) => pattern.test(unit)) ?? [];
    return Number(count.replaceAll(/\s/g, '')) * (each ?? Number.NaN);
  });
  const sum = parts.reduce((all, one) => all + one, 0);
  if (parts.length === 0 || text.replaceAll(part, '').trim() !== '' || Number.isNaN(sum)) {
    throw new Error(
      `${name}: seal.grace: \`${text}\` is not a valid duration; write a number and a unit, e.g. 30s, 5m or 1h`,
    );
  }
  if (sum > GRACE_MAX)
    throw new Error(`${name}: seal.grace: is more than 7 days; write at most "7days"`);
  return Math.ceil(Number(sum.toFixed(9)));
}

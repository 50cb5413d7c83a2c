import { isIP } from 'node:net';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { StorageClass } from '../model/storage-class.ts';

/**
 * How one kind of value is written in the file, the environment or a flag, and what it becomes. Values with a dimension
 * always carry their unit, so that `30` is never taken for the wrong thirty.
 */
export interface ValueType<T> {
  /** For the documentation: `size, like "64 MiB"`. */
  readonly describe: string;
  /** How the value appears in TOML: everything that is not a boolean, a whole number or a list is a string. */
  readonly tomlKind: 'string' | 'boolean' | 'integer' | 'list';
  /** `raw` is a TOML value or, from the environment and flags, a string. @throws InvalidValue with the reason */
  parse(raw: unknown): T;
}

/** The reason a value was refused, as the end of the sentence "key …". */
export class InvalidValue extends Error {}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};
const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, min: 6e4, h: 36e5, d: 864e5 };

interface Bounds {
  min: string;
  max: string;
}

function parseQuantity(raw: unknown, units: Readonly<Record<string, number>>, example: string): number {
  if (typeof raw !== 'string') throw new InvalidValue(`needs a unit, like "${example}"`);
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(raw.trim());
  if (match?.[1] === undefined || match[2] === undefined) throw new InvalidValue(`is not of the form "${example}"`);
  const factor = Object.hasOwn(units, match[2]) ? units[match[2]] : undefined;
  if (factor === undefined) {
    throw new InvalidValue(`has the unknown unit "${match[2]}"; known are ${Object.keys(units).join(', ')}`);
  }
  return Math.round(Number(match[1]) * factor);
}

function boundedQuantity(
  kind: string,
  units: Readonly<Record<string, number>>,
  options: { example: string; bounds: Bounds; strip?: string },
): ValueType<number> {
  const read = (raw: unknown): number => {
    if (options.strip === undefined || typeof raw !== 'string') return parseQuantity(raw, units, options.example);
    if (!raw.trim().endsWith(options.strip)) throw new InvalidValue(`is not of the form "${options.example}"`);
    return parseQuantity(raw.trim().slice(0, -options.strip.length), units, options.example);
  };
  const min = read(options.bounds.min);
  const max = read(options.bounds.max);
  return {
    describe: `${kind} from ${options.bounds.min} to ${options.bounds.max}`,
    tomlKind: 'string',
    parse: (raw) => {
      const value = read(raw);
      if (value < min || value > max) {
        throw new InvalidValue(`must be between ${options.bounds.min} and ${options.bounds.max}`);
      }
      return value;
    },
  };
}

/** Bytes: `"64 MiB"`. */
export function size(bounds: Bounds): ValueType<number> {
  return boundedQuantity('size', SIZE_UNITS, { example: '64 MiB', bounds });
}

/** Bytes per second: `"32 MiB/s"`. */
export function rate(bounds: Bounds): ValueType<number> {
  return boundedQuantity('rate', SIZE_UNITS, { example: '32 MiB/s', bounds, strip: '/s' });
}

/** Milliseconds: `"30 s"`. */
export function duration(bounds: Bounds): ValueType<number> {
  return boundedQuantity('time', DURATION_UNITS_MS, { example: '30 s', bounds });
}

/** A whole number. */
export function integer(bounds: { min: number; max: number }): ValueType<number> {
  return {
    describe: `whole number from ${bounds.min} to ${bounds.max}`,
    tomlKind: 'integer',
    parse: (raw) => {
      const value = typeof raw === 'string' && /^\d+$/.test(raw.trim()) ? Number(raw) : raw;
      if (typeof value !== 'number' || !Number.isInteger(value)) throw new InvalidValue('is not a whole number');
      if (value < bounds.min || value > bounds.max) {
        throw new InvalidValue(`must be between ${bounds.min} and ${bounds.max}`);
      }
      return value;
    },
  };
}

export function boolean(): ValueType<boolean> {
  return {
    describe: '`true` or `false`',
    tomlKind: 'boolean',
    parse: (raw) => {
      if (raw === true || raw === 'true') return true;
      if (raw === false || raw === 'false') return false;
      throw new InvalidValue('must be true or false');
    },
  };
}

/** One of a few words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): ValueType<Word> {
  return {
    describe: words.map((word) => `\`${word}\``).join(' or '),
    tomlKind: 'string',
    parse: (raw) => {
      const found = words.find((word) => word === raw);
      if (found === undefined) throw new InvalidValue(`must be ${words.map((word) => `"${word}"`).join(' or ')}`);
      return found;
    },
  };
}

/** Text of a given form; the empty text stands for "not set" where `allowEmpty`. */
export function text(options: { describe: string; pattern: RegExp; allowEmpty?: boolean }): ValueType<string> {
  return {
    describe: options.describe,
    tomlKind: 'string',
    parse: (raw) => {
      if (typeof raw !== 'string') throw new InvalidValue('must be a string');
      if (raw === '' && options.allowEmpty === true) return raw;
      if (!options.pattern.test(raw)) throw new InvalidValue(`must be ${options.describe}`);
      return raw;
    },
  };
}

/** A path; empty means not set. Relative ones are resolved by whoever opens them against the working directory. */
export function path(): ValueType<string> {
  return text({ describe: 'path', pattern: /^[^\0]+$/, allowEmpty: true });
}

/**
 * Several values: a list in TOML; in the environment and in flags separated by white space or by commas outside `{}`.
 */
export function listOf<T>(item: ValueType<T>): ValueType<readonly T[]> {
  return {
    describe: `list of: ${item.describe}`,
    tomlKind: 'list',
    parse: (raw) => {
      const items: readonly unknown[] = typeof raw === 'string' ? splitList(raw) : asList(raw);
      return Object.freeze(items.map((entry) => item.parse(entry)));
    },
  };
}

function asList(raw: unknown): readonly unknown[] {
  if (!Array.isArray(raw)) throw new InvalidValue('must be a list');
  return raw as readonly unknown[];
}

function splitList(raw: string): string[] {
  const items: string[] = [];
  let current = '';
  let depth = 0;
  for (const character of raw) {
    if (character === '{') depth += 1;
    if (character === '}') depth -= 1;
    if (depth <= 0 && /[\s,]/.test(character)) {
      if (current !== '') items.push(current);
      current = '';
    } else {
      current += character;
    }
  }
  if (current !== '') items.push(current);
  return items;
}

export interface ListenAddress {
  /** IPv4, IPv6 without brackets, or a host name. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** `host:port`, `[ipv6]:port`. `localhost` is both loopback addresses. */
export function listenAddress(): ValueType<ListenAddress> {
  return {
    describe: '`host:port` or `[ipv6]:port`',
    tomlKind: 'string',
    parse: (raw) => {
      if (typeof raw !== 'string') throw new InvalidValue('must be "host:port"');
      const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(raw.trim());
      const port = Number(match?.[3]);
      if (match === null || port > 65_535) throw new InvalidValue('must be "host:port" or "[ipv6]:port"');
      const host = match[1] ?? match[2] ?? '';
      return Object.freeze({ host: host === '' ? '::' : host, port });
    },
  };
}

/** An IP address, or one with the length of its prefix. */
export function addressRange(): ValueType<string> {
  const describe = 'IP address or range, like `10.0.0.0/8`';
  return {
    describe,
    tomlKind: 'string',
    parse: (raw) => {
      if (typeof raw !== 'string') throw new InvalidValue(`is no ${describe}`);
      const [address = '', prefix, ...rest] = raw.split('/');
      const bits = isIP(address) === 4 ? 32 : 128;
      const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
      if (isIP(address) === 0 || !isPrefix || rest.length > 0) throw new InvalidValue(`is no ${describe}`);
      return raw;
    },
  };
}

/** `auto` (undefined) or `k+m` within the limits of the codec. */
export function erasureCode(): ValueType<ErasureCode | undefined> {
  return {
    describe: '`k+m` with 1 ≤ k ≤ 24 and 0 ≤ m ≤ 6, or `auto`',
    tomlKind: 'string',
    parse: (raw) => {
      if (raw === 'auto') return undefined;
      const match = typeof raw === 'string' ? /^(\d{1,2})\+(\d)$/.exec(raw.trim()) : null;
      if (match === null) throw new InvalidValue('must be k+m, like "4+2", or "auto"');
      const k = Number(match[1]);
      const m = Number(match[2]);
      if (k < 1 || k > 24 || m > 6) throw new InvalidValue('must have 1 to 24 data and 0 to 6 parity shards');
      return Object.freeze({ k, m });
    },
  };
}

const CLASS_NAME = /^(?!STANDARD$)[A-Z][A-Z0-9_]{0,31}$/;

/** `NAME=k+m`. */
export function storageClass(): ValueType<StorageClass> {
  return {
    describe: '`NAME=k+m`, the name in capitals and not STANDARD',
    tomlKind: 'string',
    parse: (raw) => {
      const [name = '', code, ...others] = typeof raw === 'string' ? raw.trim().split('=') : [];
      if (!CLASS_NAME.test(name) || others.length > 0) throw new InvalidValue('must be NAME=k+m, like "ARCHIVE=8+3"');
      const parsed = code === 'auto' ? undefined : erasureCode().parse(code);
      if (parsed === undefined) throw new InvalidValue('must name k+m');
      return Object.freeze({ name, code: parsed });
    },
  };
}

const BUCKET_PATTERN = /^[a-z0-9.*-]{1,63}$/;

/** `PATTERN=CLASS`. */
export function bucketClass(): ValueType<{ readonly pattern: string; readonly storageClass: string }> {
  return {
    describe: '`PATTERN=CLASS`, `*` in the pattern for any characters',
    tomlKind: 'string',
    parse: (raw) => {
      const [pattern = '', storageClass = '', ...others] = typeof raw === 'string' ? raw.trim().split('=') : [];
      if (!BUCKET_PATTERN.test(pattern) || storageClass === '' || others.length > 0) {
        throw new InvalidValue('must be PATTERN=CLASS, like "backup-*=ARCHIVE"');
      }
      return Object.freeze({ pattern, storageClass });
    },
  };
}

export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** `certificate.pem:key.pem`, the chain in the first. */
export function certificateFiles(): ValueType<CertificateFiles> {
  return {
    describe: '`CERTIFICATE.pem:KEY.pem`',
    tomlKind: 'string',
    parse: (raw) => {
      const match = typeof raw === 'string' ? /^([^:\0]+):([^:\0]+)$/.exec(raw) : null;
      if (match?.[1] === undefined || match[2] === undefined) {
        throw new InvalidValue('must be two paths, "CERTIFICATE.pem:KEY.pem"');
      }
      return Object.freeze({ certificateFile: match[1], keyFile: match[2] });
    },
  };
}

import { parseArgs } from 'node:util';
import { DISK_FAULTS, PROCESS_FAULTS } from './faults.ts';

const ALL_FAULTS: readonly string[] = [...DISK_FAULTS, ...PROCESS_FAULTS];

export interface ChaosOptions {
  minutes: number;
  diskCount: number;
  k: number;
  m: number;
  seed: number;
  isBeyondM: boolean;
  workerCount: number;
  keyCount: number;
  /** Between two demands for a clean census. */
  cleanEverySeconds: number;
  /** Within this time after everything is back the census must be clean. */
  cleanWithinSeconds: number;
  /** Which faults are thrown. */
  faults: readonly string[];
  outDirectory: string;
}

export const USAGE = `npm run bench:chaos -- [flags]
  --minutes N        how long (10)
  --disks N          directories (6)
  --code K+M         (4+2)
  --seed N           draws faults and work (random; printed)
  --beyond-m         ends with m + 1 disks away: must fail honestly
  --workers N        SDK requests at once (12)
  --keys N           keys of the bucket (300)
  --clean-every S    seconds between demands for a clean census (60)
  --clean-within S   seconds until the census must be clean (120)
  --faults A,B,…      only these of ${ALL_FAULTS.join(', ')}
  --out DIR          where report.txt, report.json and report.html go (chaos-report)
`;

/** @throws Error with what is wrong */
export function parseOptions(argv: readonly string[]): ChaosOptions | undefined {
  const { values } = parseArgs({
    args: [...argv],
    strict: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      minutes: { type: 'string', default: '10' },
      disks: { type: 'string', default: '6' },
      code: { type: 'string', default: '4+2' },
      seed: { type: 'string' },
      'beyond-m': { type: 'boolean', default: false },
      workers: { type: 'string', default: '12' },
      keys: { type: 'string', default: '300' },
      'clean-every': { type: 'string', default: '60' },
      'clean-within': { type: 'string', default: '120' },
      faults: { type: 'string' },
      out: { type: 'string', default: 'chaos-report' },
    },
  });
  if (values.help === true) return undefined;
  const [k, m] = (/^(\d+)\+(\d+)$/.exec(values.code)?.slice(1) ?? []).map(Number);
  if (k === undefined || m === undefined) throw new Error('--code must be like 4+2');
  return {
    minutes: positive('minutes', values.minutes),
    diskCount: positive('disks', values.disks),
    k,
    m,
    seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : positive('seed', values.seed),
    isBeyondM: values['beyond-m'],
    workerCount: positive('workers', values.workers),
    keyCount: positive('keys', values.keys),
    cleanEverySeconds: positive('clean-every', values['clean-every']),
    cleanWithinSeconds: positive('clean-within', values['clean-within']),
    faults: chooseFaults(values.faults),
    outDirectory: values.out,
  };
}

function chooseFaults(text: string | undefined): readonly string[] {
  if (text === undefined) return ALL_FAULTS;
  const chosen = text.split(',');
  const unknown = chosen.find((name) => !ALL_FAULTS.includes(name));
  if (unknown !== undefined) throw new Error(`--faults: there is no fault "${unknown}"`);
  return chosen;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0`);
  return value;
}

import { fileURLToPath } from 'node:url';
import type { CliContext } from '../../src/cli/command.ts';
import type { Composition } from '../../src/cli/server-types.ts';
import { chaosDisks, StandingFaults } from './chaos-disk-fs.ts';

/**
 * The built server with all its commands, each of its disks one that can be hurt. Nothing else differs from
 * `holdfast`: the product itself knows no such switch. CHAOS_FAULTS names the file of standing faults.
 */
const root = new URL('../../', import.meta.url);
const load = async <M>(path: string): Promise<M> => (await import(new URL(`dist/${path}`, root).href)) as M;

const { runCli } = await load<typeof import('../../src/cli/run-cli.ts')>('cli/run-cli.js');
const { RealDiskFs } = await load<typeof import('../../src/disk/real-disk-fs.ts')>('disk/real-disk-fs.js');
const { SystemClock, SystemRandomness } = await load<typeof import('../../src/observability/system-clock.ts')>(
  'observability/system-clock.js',
);
const chaosDisk = chaosDisks(
  await load<typeof import('../../src/disk/fault-disk-fs.ts')>('disk/fault-disk-fs.js'),
  await load<typeof import('../../src/disk/disk-error.ts')>('disk/disk-error.js'),
);
const { composition } = await load<{ composition: Composition }>('server.js');

const clock = new SystemClock();
const faults = new StandingFaults(process.env['CHAOS_FAULTS'] ?? '');
const makeDiskFs: NonNullable<Parameters<Composition['createServer']>[0]['makeDiskFs']> = (path, bound) =>
  chaosDisk(new RealDiskFs(path, bound), clock, () => faults.of(path));

const context: CliContext = {
  env: process.env,
  workingDirectory: process.cwd(),
  packageDirectory: fileURLToPath(root),
  version: 'chaos',
  stdout: { write: (text) => void process.stdout.write(text), isTerminal: false },
  stderr: { write: (text) => void process.stderr.write(text), isTerminal: false },
  clock,
  randomness: new SystemRandomness(),
  loadComposition: async () => ({
    ...composition,
    createServer: (options) => composition.createServer({ ...options, makeDiskFs }),
  }),
  onSignal: (signal, callback) => {
    process.on(signal, callback);
    return () => process.off(signal, callback);
  },
  killSelf: () => process.kill(process.pid, 'SIGKILL'),
};
process.exit(await runCli(process.argv.slice(2), context));

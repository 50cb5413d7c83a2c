import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import path from 'node:path';
import { makePrivateDirectory, syncDirectory } from '../access/private-file.ts';
import type { Log } from '../observability/log.ts';
import { banner } from './banner.ts';
import {
  type CliContext,
  type Command,
  CommandFailure,
  type ExitCode,
  type Invocation,
  UsageError,
} from './command.ts';
import { createLog, type FlushableLog } from './create-log.ts';
import { inspectDirectories } from './disk-directories.ts';
import { briefFindings, configurationFindings } from './doctor/doctor.ts';
import { chownLine } from './explain-error.ts';
import { checkStateDirectoryIsNoDisk, formatLine, formatStorage, isFormattingUnfinished } from './format-storage.ts';
import { progressReporter } from './progress.ts';
import type { Server, ServerFacts } from './server-types.ts';
import { loadSecrets, loadSettings, type Settings } from './settings.ts';
import {
  lastDiskPaths,
  readRememberedCluster,
  rememberCluster,
  requireStateDirectory,
  searchPaths,
  writeAwsCredentials,
} from './state-directory.ts';

export const serveCommand: Command = {
  name: 'serve',
  summary: 'serve S3 on formatted disks',
  usage: `serve --disks '/mnt/disk{1..6}' [--state DIR] [--listen HOST:PORT] [--config FILE]`,
  details: `Recovers, then answers S3 requests until SIGTERM or SIGINT; SIGHUP loads TLS certificates again. Never formats:
on empty directories it refuses and prints the format line. Containers set HOLDFAST_FORMAT=if-empty, which formats when
every disk is empty and the state directory knows no cluster.`,
  flags: {},
  arguments: 'disks',
  run: async (context, invocation) => await serve(context, await loadSettings(context, invocation)),
};

export const startCommand: Command = {
  name: 'start',
  summary: 'serve from data/ beside package.json; the very first time, make it (npm start)',
  usage: 'start [--listen HOST:PORT] [--config FILE]',
  details: `When there is no data folder, formats six directories in it with code 4+2 and a random root key, then serves.
With disks configured it is the same as serve.`,
  flags: {},
  arguments: 'none',
  run: start,
};

async function start(context: CliContext, invocation: Invocation): Promise<ExitCode> {
  const data = path.join(context.packageDirectory, 'data');
  const settings = await loadSettings(context, invocation, dataDefaults(data));
  const hasOwnDisks = !settings.diskPaths.every((disk) => path.dirname(disk) === data);
  if (!hasOwnDisks && !existsSync(data)) await makeDataFolder(context, invocation, data);
  return await serve(context, settings);
}

function dataDefaults(data: string): Record<string, string | readonly string[]> {
  const disks = Array.from({ length: 6 }, (_, index) => path.join(data, `disk${index + 1}`));
  return { 'storage.disks': disks, 'storage.state_directory': path.join(data, 'state') };
}

/** Formats under another name and renames: `data/` is either absent or complete, whenever the machine stops. */
async function makeDataFolder(context: CliContext, invocation: Invocation, data: string): Promise<void> {
  const unfinished = `${data}.formatting`;
  const settings = await loadSettings(context, invocation, dataDefaults(unfinished));
  await makePrivateDirectory(unfinished);
  const { log, flush } = createLog({ ...settings.config.log, level: 'warn' }, context.stderr.isTerminal);
  await formatOrRemembered(context, settings, log);
  flush();
  await rememberFinalPaths(settings.stateDirectory, data);
  await rename(unfinished, data);
  await syncDirectory(path.dirname(data));
}

/** What is remembered are the paths after the rename. */
async function rememberFinalPaths(stateDirectory: string, data: string): Promise<void> {
  const remembered = await readRememberedCluster(stateDirectory);
  if (remembered === undefined) return;
  const diskPaths = remembered.diskPaths.map((disk) => path.join(data, path.basename(disk)));
  await rememberCluster(stateDirectory, { ...remembered, diskPaths });
}

/** A first start that was cut off after the last step of formatting, before the rename, has nothing left to do. */
async function formatOrRemembered(context: CliContext, settings: Settings, log: Log): Promise<void> {
  if ((await readRememberedCluster(settings.stateDirectory)) === undefined) await formatStorage(context, settings, log);
}

async function serve(context: CliContext, settings: Settings): Promise<ExitCode> {
  if (settings.diskPaths.length === 0) {
    throw new UsageError(`no disks: give --disks '/mnt/disk{1..6}' (or HOLDFAST_DISKS)`);
  }
  checkStateDirectoryIsNoDisk(settings);
  await requireStateDirectory(settings.stateDirectory);
  const logging = createLog(settings.config.log, context.stderr.isTerminal);
  const { log, flush } = logging;
  try {
    await refuseOrFormatEmptyDisks(context, settings, log);
    const remembered = await readRememberedCluster(settings.stateDirectory);
    const diskPaths = searchPaths(settings.diskPaths, remembered);
    return await runServer(context, { ...settings, diskPaths }, logging);
  } finally {
    flush();
  }
}

/** An unmounted disk looks like an empty one: all of them empty is never taken for a new cluster. */
async function refuseOrFormatEmptyDisks(context: CliContext, settings: Settings, log: Log): Promise<void> {
  const { config, stateDirectory } = settings;
  const remembered = await readRememberedCluster(stateDirectory);
  if (config.storage.format === 'if-empty' && remembered === undefined && (await isFormattingUnfinished(settings))) {
    await formatStorage(context, settings, log);
    return;
  }
  const directories = await inspectDirectories(settings.diskPaths);
  for (const { path: disk, content } of directories) {
    if (content === 'unreadable') throw new CommandFailure(`no permission for ${disk}`, { hint: chownLine(disk) });
  }
  if (directories.some(({ content }) => content === 'used')) return;
  if (remembered !== undefined) {
    throw new CommandFailure(
      `all disks are empty or missing, but this state directory belongs to the cluster ${remembered.clusterId}`,
      {
        hint: `Nothing was formatted. Are the disks mounted? They were: ${remembered.diskPaths.join(' ')}`,
      },
    );
  }
  const isFormattable = directories.every(({ content }) => content === 'empty' || content === 'missing');
  if (config.storage.format === 'if-empty' && isFormattable) {
    await formatStorage(context, settings, log);
    return;
  }
  throw new CommandFailure(`no formatted disk among ${settings.diskPaths.join(' ')}`, {
    hint: `If disks are missing, mount them. To make a new cluster:\n  ${formatLine(settings)}`,
  });
}

async function runServer(context: CliContext, settings: Settings, logging: FlushableLog): Promise<ExitCode> {
  const { log } = logging;
  const { config, stateDirectory, diskPaths } = settings;
  const [secrets, remembered] = await Promise.all([
    loadSecrets(settings, context.workingDirectory),
    readRememberedCluster(stateDirectory),
  ]);
  const findings = await briefFindings({ settings, secrets });
  const refusals = findings.filter(({ severity }) => severity === 'error');
  if (refusals.length > 0) {
    throw new CommandFailure(refusals.map(({ message }) => message).join('\n'), {
      hint: refusals.map(({ fix }) => fix ?? '').join('\n'),
    });
  }
  for (const { code, message } of configurationFindings(config)) log.warn({ code }, message);
  await makePrivateDirectory(stateDirectory);
  const progress = progressReporter(context.stderr, log);
  const composition = await context.loadComposition();
  const server = composition.createServer({
    config,
    diskPaths,
    lastDiskPaths: lastDiskPaths(remembered),
    leastListSequence: remembered?.listSequence,
    stateDirectory,
    secrets,
    expectedClusterId: remembered?.clusterId,
    log,
    clock: context.clock,
    randomness: context.randomness,
    version: context.version,
    findings,
    onProgress: progress.report,
  });
  return await new RunningServer({ context, settings, logging, server }).run(progress.end);
}

/** Signals within this time are one request. */
const SAME_SIGNAL_MS = 1000;
const LAST_WORDS_MS = 250;

/** One server from start to stop, with the signals that end it. */
class RunningServer {
  readonly #context: CliContext;
  readonly #settings: Settings;
  readonly #log: Log;
  readonly #logging: FlushableLog;
  readonly #server: Server;

  constructor(options: { context: CliContext; settings: Settings; logging: FlushableLog; server: Server }) {
    this.#context = options.context;
    this.#settings = options.settings;
    this.#log = options.logging.log;
    this.#logging = options.logging;
    this.#server = options.server;
  }

  async run(endProgress: () => void): Promise<ExitCode> {
    const stopRequest = this.#awaitStopSignal();
    const ignoreHangup = this.#context.onSignal('SIGHUP', () => this.#reloadTls());
    try {
      const started = this.#server.start();
      const first = await Promise.race([started, stopRequest.signal]);
      endProgress();
      if (typeof first !== 'string') {
        await this.#announce(first);
        await stopRequest.signal;
      } else {
        // A start that a signal cut off fails; that failure is what was asked for.
        started.catch((error: unknown) => this.#log.debug({ err: error }, 'start was cut off'));
      }
      return await this.#stop(await stopRequest.signal);
    } catch (error) {
      endProgress();
      await this.#stop(undefined);
      throw error;
    } finally {
      ignoreHangup();
      stopRequest.end();
    }
  }

  /**
   * The first signal asks for a clean stop, a later one ends the process at once. Ctrl-C under `npm start` arrives twice
   * within milliseconds, from the terminal and from npm: that is one.
   */
  #awaitStopSignal(): { signal: Promise<string>; end: () => void } {
    const { clock } = this.#context;
    const ends: (() => void)[] = [];
    let firstMs: number | undefined;
    const signal = new Promise<string>((resolve) => {
      for (const name of ['SIGTERM', 'SIGINT'] as const) {
        ends.push(
          this.#context.onSignal(name, () => {
            firstMs ??= clock.monotonicMs();
            if (clock.monotonicMs() - firstMs > SAME_SIGNAL_MS) void this.#endAtOnce();
            resolve(name);
          }),
        );
      }
    });
    return { signal, end: () => ends.forEach((end) => end()) };
  }

  /** What was logged is told, unless nobody reads it: that must not keep the process. */
  async #endAtOnce(): Promise<void> {
    try {
      await this.#logging.flushWithin(LAST_WORDS_MS);
    } finally {
      this.#context.killSelf();
    }
  }

  async #announce(facts: ServerFacts): Promise<void> {
    const { stateDirectory, diskPaths } = this.#settings;
    const remembered = await readRememberedCluster(stateDirectory);
    const listSequence = facts.listSequence ?? remembered?.listSequence ?? 0;
    await rememberCluster(stateDirectory, {
      ...remembered,
      clusterId: facts.clusterId,
      diskPaths,
      code: facts.code,
      disks: facts.diskPlaces,
      listSequence,
    });
    const credentialsFile =
      facts.root.source === 'stored' ? await writeAwsCredentials(stateDirectory, facts.root) : undefined;
    const { stdout } = this.#context;
    stdout.write(banner({ facts, isTerminal: stdout.isTerminal, credentialsFile }));
    const { endpoints, adminEndpoints, clusterId, isCreated, bucketCount, objectCount } = facts;
    this.#log.info({ endpoints, adminEndpoints, clusterId, isCreated, bucketCount, objectCount }, 'ready');
  }

  #reloadTls(): void {
    this.#server.reloadTls().catch((error: unknown) => this.#log.error({ err: error }, 'TLS could not be reloaded'));
  }

  async #stop(signal: string | undefined): Promise<ExitCode> {
    const deadlineMs = this.#settings.config.limits.shutdown;
    if (signal !== undefined) this.#log.info({ signal, deadlineMs }, 'stopping');
    const { isClean } = await this.#server.stop({ deadlineMs });
    if (isClean) return 0;
    this.#log.error(
      { deadlineMs },
      'file calls are stuck: the process ends without them; nothing acknowledged is lost',
    );
    try {
      this.#logging.flush();
    } finally {
      this.#context.killSelf();
    }
    return 1;
  }
}

import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { ensureMasterKey } from '../access/master-key.ts';
import { makePrivateDirectory, readFileIfPresent, syncDirectory, writePrivateFile } from '../access/private-file.ts';
import { defaultCode } from '../config/default-code.ts';
import { IDENTITY_FILE } from '../disk/disk-identity.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { Log } from '../observability/log.ts';
import { type CliContext, CommandFailure, UsageError } from './command.ts';
import { inspectDirectories } from './disk-directories.ts';
import { inspectDisks } from './doctor/disk-checks.ts';
import { chownLine, shellQuote } from './explain-error.ts';
import type { FormatFacts } from './server-types.ts';
import type { Settings } from './settings.ts';
import { readRememberedCluster, rememberCluster } from './state-directory.ts';

/**
 * Formats the disks of `settings` and makes the master key. A marker in the state directory stands from before the first
 * byte on a disk until the cluster is remembered, so that a formatting cut off by a crash is known and finished.
 * @throws UsageError | CommandFailure | StoreError FormatRefused; then nothing that existed was changed
 */
export async function formatStorage(
  context: CliContext,
  settings: Settings,
  log: Log,
): Promise<FormatFacts & { code: ErasureCode }> {
  const code = chooseCode(settings);
  await refuseWhatCannotBeFormatted(settings);
  const composition = await context.loadComposition();

  await makePrivateDirectory(settings.stateDirectory);
  if (settings.config.root.masterKey === '' && settings.config.root.masterKeyFile === '') {
    await ensureMasterKey(settings.stateDirectory, context.randomness);
  }
  await makeMissingDirectories(settings.diskPaths);
  await writePrivateFile(markerFile(settings), `${JSON.stringify({ diskPaths: settings.diskPaths, code })}\n`);
  const facts = await composition.formatStorage({
    config: settings.config,
    diskPaths: settings.diskPaths,
    stateDirectory: settings.stateDirectory,
    code,
    log,
    clock: context.clock,
    randomness: context.randomness,
    version: context.version,
  });
  await rememberCluster(settings.stateDirectory, { clusterId: facts.clusterId, diskPaths: settings.diskPaths, code });
  await rm(markerFile(settings), { force: true });
  return { ...facts, code };
}

/** Did a formatting from this state directory begin and not end? */
export async function isFormattingUnfinished(settings: Settings): Promise<boolean> {
  return (await readFileIfPresent(markerFile(settings))) !== undefined;
}

/** The line that formats what `settings` names. */
export function formatLine(settings: Settings): string {
  const disks = settings.diskPatterns.length > 0 ? settings.diskPatterns : settings.diskPaths;
  const code = settings.config.storage.code ?? defaultCode(settings.diskPaths.length);
  const quoted = disks.map((pattern) => `'${pattern.replaceAll("'", `'\\''`)}'`).join(' ');
  return `holdfast format --disks ${quoted} --code ${code.k}+${code.m} --state ${shellQuote(settings.stateDirectory)}`;
}

/** One level each: a mistyped parent is an error, not a new tree. */
async function makeMissingDirectories(diskPaths: readonly string[]): Promise<void> {
  for (const { path: disk, content } of await inspectDirectories(diskPaths)) {
    if (content !== 'missing') continue;
    try {
      await mkdir(disk, { mode: 0o700 });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      throw new CommandFailure(`${path.dirname(disk)} does not exist`, {
        hint: `mkdir -p ${diskPaths.map(shellQuote).join(' ')}`,
        cause,
      });
    }
    await syncDirectory(path.dirname(disk));
  }
}

function markerFile(settings: Settings): string {
  return path.join(settings.stateDirectory, 'formatting.json');
}

function chooseCode(settings: Settings): ErasureCode {
  const { diskPaths } = settings;
  if (diskPaths.length === 0) throw new UsageError(`no disks: give --disks '/mnt/disk{1..6}' (or HOLDFAST_DISKS)`);
  const code = settings.config.storage.code ?? defaultCode(diskPaths.length);
  if (code.k + code.m > diskPaths.length) {
    throw new UsageError(
      `code ${code.k}+${code.m} needs ${code.k + code.m} disks, but the patterns name ${diskPaths.length}: ${diskPaths.join(' ')}`,
    );
  }
  return code;
}

async function refuseWhatCannotBeFormatted(settings: Settings): Promise<void> {
  const { diskPaths, stateDirectory } = settings;
  checkStateDirectoryIsNoDisk(settings);
  const remembered = await readRememberedCluster(stateDirectory);
  if (remembered !== undefined) {
    throw new CommandFailure(`the state directory ${stateDirectory} belongs to the cluster ${remembered.clusterId}`, {
      hint: `Nothing was formatted. Are its disks not mounted? They were: ${remembered.diskPaths.join(' ')}\nFor another cluster give another --state DIR.`,
    });
  }
  const isResuming = await isFormattingUnfinished(settings);
  for (const { path: disk, content } of await inspectDirectories(diskPaths)) {
    if (content === 'not-a-directory') throw new CommandFailure(`${disk} is not a directory; nothing was formatted`);
    if (content === 'unreadable') {
      throw new CommandFailure(`no permission for ${disk}; nothing was formatted`, { hint: chownLine(disk) });
    }
    if (content === 'used' && !isResuming && !existsSync(path.join(disk, IDENTITY_FILE))) {
      throw new CommandFailure(`${disk} is not empty; nothing was formatted`, {
        hint: 'Only empty directories are formatted. If it is a disk of a cluster, give its state directory to holdfast serve.',
      });
    }
  }
  const refusals = (await inspectDisks(diskPaths, settings.config)).filter(({ severity }) => severity === 'error');
  if (refusals.length > 0) {
    throw new CommandFailure(refusals.map(({ message }) => message).join('\n'), {
      hint: refusals
        .map(({ fix }) => fix)
        .filter((fix) => fix !== undefined)
        .join('\n'),
    });
  }
}

/** @throws UsageError: the state directory must survive the loss of any disk, and a disk the loss of the state */
export function checkStateDirectoryIsNoDisk(settings: Settings): void {
  for (const disk of settings.diskPaths) {
    if (settings.stateDirectory === disk || settings.stateDirectory.startsWith(disk + path.sep)) {
      throw new UsageError(
        `the state directory ${settings.stateDirectory} lies on the disk ${disk}; give another --state DIR`,
      );
    }
  }
}

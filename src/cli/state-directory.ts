import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { RootKey } from '../access/credential-store.ts';
import { makePrivateDirectory, readFileIfPresent, writePrivateFile } from '../access/private-file.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { Finding } from '../admin/status-report.ts';
import { CommandFailure, UsageError } from './command.ts';
import { chownLine, shellQuote } from './explain-error.ts';
import { existingAncestor } from './existing-ancestor.ts';

/** Where the state directory is when no key names it. @throws UsageError when nothing says where */
export function defaultStateDirectory(env: Readonly<Record<string, string | undefined>>): string {
  const fromSystemd = env['STATE_DIRECTORY']?.split(':', 1)[0];
  if (fromSystemd !== undefined && fromSystemd !== '') return fromSystemd;
  if (env['XDG_STATE_HOME'] !== undefined && env['XDG_STATE_HOME'] !== '') {
    return path.join(env['XDG_STATE_HOME'], 'holdfast');
  }
  if (env['HOME'] !== undefined && env['HOME'] !== '') return path.join(env['HOME'], '.local/state/holdfast');
  throw new UsageError('no state directory: give --state DIR (HOME and XDG_STATE_HOME are not set)');
}

/** Beginnings of the names of what the server keeps there; what somebody else put there may be anybody's. */
const OWN_FILE = /^(aws-credentials|cluster\.json|formatting|index\.sqlite|master\.key)/;

/**
 * What keeps this user from using the state directory: rights of the directory itself, or of a file in it, as after a
 * command that ran as root. Everything in it has one owner, so the repair is always of the whole directory.
 */
export async function checkStateDirectory(stateDirectory: string): Promise<Finding | undefined> {
  const finding = (message: string, fix: string): Finding => {
    return { code: 'state-permission', severity: 'error', message, fix };
  };
  const refused = await refusedPath(stateDirectory, constants.R_OK | constants.W_OK | constants.X_OK);
  if (refused === 'missing') {
    const parent = await existingAncestor(path.dirname(stateDirectory));
    if ((await refusedPath(parent, constants.W_OK | constants.X_OK)) === undefined) return undefined;
    const user = `-o ${process.getuid?.() ?? 0} -g ${process.getgid?.() ?? 0}`;
    const fix = `sudo install -d -m 700 ${user} ${shellQuote(stateDirectory)}`;
    return finding(`no permission to make the state directory ${stateDirectory}`, fix);
  }
  const fix = `${chownLine(stateDirectory)} && chmod u+rwx ${shellQuote(stateDirectory)}`;
  if (refused === 'refused') return finding(`no permission for the state directory ${stateDirectory}`, fix);
  for (const entry of await readdir(stateDirectory, { withFileTypes: true })) {
    const file = path.join(stateDirectory, entry.name);
    if (!entry.isFile() || !OWN_FILE.test(entry.name)) continue;
    if ((await refusedPath(file, constants.R_OK | constants.W_OK)) === 'refused') {
      return finding(`no permission for ${file} in the state directory`, fix);
    }
  }
  return undefined;
}

/** `checkStateDirectory` for commands that cannot go on. @throws CommandFailure with the line that repairs it */
export async function requireStateDirectory(stateDirectory: string): Promise<void> {
  const finding = await checkStateDirectory(stateDirectory);
  if (finding !== undefined) throw new CommandFailure(finding.message, { hint: finding.fix });
}

async function refusedPath(file: string, mode: number): Promise<'missing' | 'refused' | undefined> {
  try {
    await access(file, mode);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'missing';
    return code === 'EACCES' || code === 'EPERM' ? 'refused' : undefined;
  }
}

/** `cluster.json`: which cluster this state directory belongs to. Makes empty disks an error, never a new cluster. */
export interface RememberedCluster {
  clusterId: string;
  /** Given at the last start. */
  diskPaths: string[];
  code: ErasureCode;
  /** Where each disk of the list was seen last. Files of earlier versions have none. */
  disks?: readonly DiskPlace[];
  /** Directories that commands have added while a server ran: looked at beside those given. */
  addedPaths?: readonly string[];
  /** The journal's sequence of the newest change of the list: a start on disks that know only older ones is refused. */
  listSequence?: number;
}

export interface DiskPlace {
  diskId: string;
  path: string;
}

export async function readRememberedCluster(stateDirectory: string): Promise<RememberedCluster | undefined> {
  const content = await readFileIfPresent(path.join(stateDirectory, 'cluster.json'));
  return content === undefined ? undefined : (JSON.parse(content) as RememberedCluster);
}

/** Durable when it resolves; writes nothing when nothing changed. */
export async function rememberCluster(stateDirectory: string, cluster: RememberedCluster): Promise<void> {
  const { clusterId, diskPaths, code, disks = [], addedPaths = [], listSequence = 0 } = cluster;
  const facts = { clusterId, diskPaths, code: { k: code.k, m: code.m }, disks, addedPaths, listSequence };
  const content = `${JSON.stringify(facts, null, 2)}\n`;
  if ((await readFileIfPresent(path.join(stateDirectory, 'cluster.json'))) === content) return;
  await makePrivateDirectory(stateDirectory);
  await writePrivateFile(path.join(stateDirectory, 'cluster.json'), content);
}

/** What a running server keeps for the next start. */
export interface DiskListFacts {
  disks: readonly DiskPlace[];
  addedPath: string | undefined;
  /** `undefined`: not known, the one that is remembered stays. */
  listSequence: number | undefined;
}

/** Where the disks of the list are, and a directory that a command adds: its disk may not be in the list yet. */
export async function rememberDisks(
  stateDirectory: string,
  { disks, addedPath, listSequence }: DiskListFacts,
): Promise<void> {
  const cluster = await readRememberedCluster(stateDirectory);
  if (cluster === undefined) return;
  const inUse = new Set(disks.map((place) => place.path));
  const stillUsed = (cluster.addedPaths ?? []).filter((place) => inUse.has(place));
  const addedPaths = [...new Set([...stillUsed, ...(addedPath === undefined ? [] : [addedPath])])];
  const newest = listSequence ?? cluster.listSequence ?? 0;
  await rememberCluster(stateDirectory, { ...cluster, disks, addedPaths, listSequence: newest });
}

/** Where to look for disks: the directories given, or else those of the last start, and those that commands have added. */
export function searchPaths(given: readonly string[], remembered: RememberedCluster | undefined): string[] {
  const first = given.length > 0 ? given : (remembered?.diskPaths ?? []);
  return [...new Set([...first, ...(remembered?.addedPaths ?? [])])];
}

export function lastDiskPaths(remembered: RememberedCluster | undefined): ReadonlyMap<string, string> {
  return new Map((remembered?.disks ?? []).map(({ diskId, path: place }) => [diskId, place]));
}

/** A shared-credentials file that the aws cli and SDKs read through `AWS_SHARED_CREDENTIALS_FILE`. */
function awsCredentialsFile(stateDirectory: string): string {
  return path.join(stateDirectory, 'aws-credentials');
}

/** Keeps the stored root key where its owner can read it; the same file unless the key changed. */
export async function writeAwsCredentials(stateDirectory: string, key: RootKey): Promise<string> {
  const file = awsCredentialsFile(stateDirectory);
  const content = `[default]\naws_access_key_id = ${key.accessKeyId}\naws_secret_access_key = ${key.secretAccessKey}\n`;
  if ((await readFileIfPresent(file)) !== content) await writePrivateFile(file, content);
  return file;
}

export async function readAwsCredentials(stateDirectory: string): Promise<RootKey | undefined> {
  const content = await readFileIfPresent(awsCredentialsFile(stateDirectory));
  const accessKeyId = /^aws_access_key_id = (\S+)$/m.exec(content ?? '')?.[1];
  const secretAccessKey = /^aws_secret_access_key = (\S+)$/m.exec(content ?? '')?.[1];
  return accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey };
}

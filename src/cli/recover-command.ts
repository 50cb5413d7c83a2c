import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import path from 'node:path';
import { ensureMasterKey } from '../access/master-key.ts';
import { makePrivateDirectory } from '../access/private-file.ts';
import {
  type CliContext,
  type Command,
  CommandFailure,
  type ExitCode,
  type Invocation,
  UsageError,
} from './command.ts';
import { createLog } from './create-log.ts';
import type { RecoverOptions, RecoverySummary } from './server-types.ts';
import { loadSecrets, loadSettings, type Settings } from './settings.ts';
import { lastDiskPaths, readRememberedCluster, rememberCluster, searchPaths } from './state-directory.ts';

const REPORT_FILE = 'recovery-report.jsonl';

export const recoverCommand: Command = {
  name: 'recover',
  summary: 'last resort: restore objects from their shards when the journals are gone',
  usage: 'recover --from-shards [--list] [--without-missing] [--disks PATTERN] [--state DIR] [--json]',
  details: `For disks whose journals are lost or damaged beyond a start, while their volumes are there: reads every shard file, and
writes a new journal that names the bytes where they lie. No shard is moved or written; old journals are put aside.

Shards describe what was written. They do not tell what was deleted, which write was never acknowledged, version ids, locks,
later changes of tags, configurations of buckets, or keys and accounts. So deleted objects may be back. Where a
key has several candidates and their ids and times agree on the order, the last is the object and the others are older versions (the
bucket is left with versioning suspended); where they do not, all of them go to the bucket recovered-quarantine, with parts that no object
names. Nothing is dropped. Every candidate is told in ${REPORT_FILE} in the state directory.

--list   shows every candidate with its time and what would become of it, and changes nothing.

While disks are away whose return may make a start possible, nothing is done: bring them back, or say with --without-missing that
they are lost for good. What only they and the old journals knew is given up then.

A recovery that was cut off is begun anew by the same command. The keys of SSE-S3, and of SSE-KMS without an external service, come
from a sealed copy on the disks, which the master key opens: put it back as master.key before the next start. Encrypted objects of which nothing says which
came last stay versions of their key, behind a delete marker, because they open under no other name. Exit code 1 when something that is
described cannot be read.`,
  flags: {
    'from-shards': { isSwitch: true, what: 'the one way there is; to be said on purpose' },
    list: { isSwitch: true, what: 'only show what would be restored' },
    'without-missing': { isSwitch: true, what: 'the disks that are away are lost for good' },
    json: { isSwitch: true, what: 'print JSON: with --list a line for each candidate, then the summary' },
  },
  arguments: 'disks',
  run,
};

async function run(context: CliContext, invocation: Invocation): Promise<ExitCode> {
  if (invocation.own['from-shards'] !== 'true') {
    throw new UsageError('say that it is meant: holdfast recover --from-shards');
  }
  const settings = await loadSettings(context, invocation);
  const isListing = invocation.own['list'] === 'true';
  const isWithoutMissing = invocation.own['without-missing'] === 'true';
  const isJson = invocation.own['json'] === 'true';
  await makePrivateDirectory(settings.stateDirectory);
  const { log, flush } = createLog({ ...settings.config.log, format: 'pretty' }, context.stderr.isTerminal);
  const reportFile = path.join(settings.stateDirectory, REPORT_FILE);
  const report = isListing ? undefined : createWriteStream(reportFile, { mode: 0o600 });
  const onCandidate: RecoverOptions['onCandidate'] = (candidate) => {
    const line = JSON.stringify(printable(candidate));
    report?.write(`${line}\n`);
    if (isListing) context.stdout.write(isJson ? `${line}\n` : describeCandidate(candidate));
  };
  const { root } = settings.config;
  const options = { ...(await storageOptions(context, settings)), log, isListing, isWithoutMissing, onCandidate };
  try {
    const summary = await (await context.loadComposition()).recoverFromShards({ ...options, onProgress: () => {} });
    if (!isListing) {
      await remember(settings, summary);
      // A new key beside a ring that another one sealed would only hide that that one is missing.
      if (summary.keyRing === 'none' && root.masterKey === '' && root.masterKeyFile === '') {
        await ensureMasterKey(settings.stateDirectory, context.randomness);
      }
    }
    const text = isJson ? JSON.stringify(summary) : describeSummary(summary, isListing ? undefined : reportFile);
    context.stdout.write(`${text}\n`);
    const isWhole = summary.counts.unreadable + summary.incompleteBlobCount + summary.unknownDescriptorCount === 0;
    return isWhole ? 0 : 1;
  } finally {
    flush();
    if (report !== undefined) {
      report.end();
      await once(report, 'close');
    }
  }
}

/** The list of disks that a lost journal knew counts no more: `leastListSequence` is left out. */
async function storageOptions(context: CliContext, settings: Settings) {
  const remembered = await readRememberedCluster(settings.stateDirectory);
  const diskPaths = searchPaths(settings.diskPaths, remembered);
  if (diskPaths.length === 0) {
    throw new CommandFailure('no disks are known', { hint: `Name them: --disks '/mnt/disk{1..6}'` });
  }
  return {
    version: context.version,
    config: settings.config,
    diskPaths,
    lastDiskPaths: lastDiskPaths(remembered),
    stateDirectory: settings.stateDirectory,
    secrets: await loadSecrets(settings, context.workingDirectory),
    expectedClusterId: remembered?.clusterId,
    clock: context.clock,
    randomness: context.randomness,
  };
}

/** So that the next start finds the disks. */
async function remember(settings: Settings, { clusterId, code, places }: RecoverySummary): Promise<void> {
  const diskPaths = places.map((place) => place.path);
  await rememberCluster(settings.stateDirectory, { clusterId, code, diskPaths, disks: places });
}

const KEY_RING_LINES = {
  none: 'No copy of a key ring was found: if objects were encrypted by SSE-S3 or a local SSE-KMS, they stay sealed.',
  opened: 'The key ring of SSE-S3 and the local SSE-KMS was found on the disks, and the master key opens it.',
  sealed:
    'The key ring of SSE-S3 and the local SSE-KMS was found on the disks, and the MASTER KEY AT HAND DOES NOT OPEN IT: put the right one back as master.key in the state directory before the next start.',
} as const;

type Shown = Parameters<RecoverOptions['onCandidate']>[0];

/** Stable names; blob ids as `inspect` shows them. */
function printable({ fate, bucketName, bucketId, key, sizeBytes, lastModifiedMs, attributes, ...rest }: Shown): object {
  const { blobId, uploadId, partNumber, quarantineKey } = rest;
  const lastModified = new Date(lastModifiedMs).toISOString();
  const { etag } = attributes;
  return {
    fate,
    bucket: bucketName,
    bucketId,
    key,
    sizeBytes,
    lastModified,
    etag,
    blobId,
    uploadId,
    partNumber,
    quarantineKey,
  };
}

function describeCandidate({ fate, bucketName, key, sizeBytes, lastModifiedMs }: Shown): string {
  const time = new Date(lastModifiedMs).toISOString();
  return `${fate.padEnd(14)}  ${time}  ${String(sizeBytes).padStart(14)}  ${bucketName}/${key}\n`;
}

function describeSummary(summary: RecoverySummary, reportFile: string | undefined): string {
  const { counts, buckets, quarantineBucket, problems, absentDiskCount } = summary;
  const isListing = reportFile === undefined;
  const lines = [
    `${isListing ? 'Would restore' : 'Restored'} ${counts.restored} objects in ${buckets.length} buckets: ${buckets.map(({ name }) => name).join(' ')}`,
    `${counts['older-version']} older versions, in the buckets ${
      buckets
        .filter(({ hasVersions }) => hasVersions)
        .map(({ name }) => name)
        .join(' ') || '(none)'
    }: overwritten objects, or versions`,
    `${counts.undecided} candidates of which nothing says which came last, ${counts['loose-part']} parts that no object names, ${counts['deleted-bucket']} objects of buckets that were deleted${quarantineBucket === undefined ? '' : `: in the bucket ${quarantineBucket}`}`,
    `${counts.unreadable} objects that cannot be read whole, ${summary.incompleteBlobCount} bodies without a name, ${summary.unknownDescriptorCount} of an unknown kind`,
    `${absentDiskCount} disks were away; ${problems.length} files and stripes could not be read`,
    ...problems.slice(0, 20).map((problem) => `  ${problem}`),
    'Not known from shards: deletes (deleted objects may be back), writes that were never acknowledged, version ids, locks, later',
    'tags, configurations of buckets, and the root key.',
    KEY_RING_LINES[summary.keyRing],
  ];
  if (!isListing) {
    lines.push(`Every candidate is in ${reportFile}. Look at it before anything is written.`);
    lines.push('Next: holdfast serve, then: holdfast scrub start   # finds and repairs shards that are missing or bad');
  }
  return lines.join('\n');
}

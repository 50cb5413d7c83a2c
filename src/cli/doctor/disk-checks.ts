import { constants } from 'node:fs';
import { access, open, stat, statfs } from 'node:fs/promises';
import type { Finding } from '../../admin/status-report.ts';
import type { Config } from '../../config/config-schema.ts';
import type { ErasureCode } from '../../model/erasure-code.ts';
import { existingAncestor } from '../existing-ancestor.ts';
import { chownLine, shellQuote } from '../explain-error.ts';
import { findSharedDevice } from './shared-device.ts';

/** `statfs` magic numbers. `refused`: a sync there often does not mean what it says. */
const FILE_SYSTEMS: ReadonlyMap<number, { name: string; verdict: 'good' | 'refused' | 'volatile' | 'unproven' }> =
  new Map([
    [0xef53, { name: 'ext4', verdict: 'good' }],
    [0x58465342, { name: 'xfs', verdict: 'good' }],
    [0x9123683e, { name: 'btrfs', verdict: 'good' }],
    [0x2fc12fc1, { name: 'zfs', verdict: 'good' }],
    [0xf2f52010, { name: 'f2fs', verdict: 'good' }],
    [0xca451a4e, { name: 'bcachefs', verdict: 'good' }],
    [0x794c7630, { name: 'overlayfs', verdict: 'unproven' }],
    [0x01021997, { name: '9p', verdict: 'unproven' }],
    [0x01021994, { name: 'tmpfs', verdict: 'volatile' }],
    [0x858458f6, { name: 'ramfs', verdict: 'volatile' }],
    [0x6969, { name: 'NFS', verdict: 'refused' }],
    [0x517b, { name: 'SMB', verdict: 'refused' }],
    [0xfe534d42, { name: 'SMB2', verdict: 'refused' }],
    [0xff534d42, { name: 'CIFS', verdict: 'refused' }],
    [0x00c36400, { name: 'CephFS', verdict: 'refused' }],
    [0x0bd00bd0, { name: 'Lustre', verdict: 'refused' }],
    [0x5346414f, { name: 'AFS', verdict: 'refused' }],
    [0x65735546, { name: 'FUSE', verdict: 'refused' }],
    [0x2011bab0, { name: 'exFAT', verdict: 'refused' }],
    [0x4d44, { name: 'FAT', verdict: 'refused' }],
  ]);

/** Checks that need no open store: presence, rights and file system of each directory. Writes nothing. */
export async function inspectDisks(diskPaths: readonly string[], config: Config): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const disk of diskPaths) {
    const existing = await existingAncestor(disk);
    const permission = await checkPermission(disk, existing);
    if (permission !== undefined) findings.push(permission);
    findings.push(...(await checkFileSystem(disk, existing, config)));
  }
  return findings;
}

async function checkPermission(disk: string, existing: string): Promise<Finding | undefined> {
  try {
    await access(existing, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EROFS') {
      const fix = `sudo mount -o remount,rw ${shellQuote(existing)}`;
      return { code: 'disk-read-only', severity: 'warning', message: `${disk} is on a read-only file system`, fix };
    }
    if (code !== 'EACCES' && code !== 'EPERM') return undefined;
    return {
      code: 'disk-permission',
      severity: 'error',
      message: `no permission for ${disk}`,
      fix: chownLine(existing),
    };
  }
}

async function checkFileSystem(disk: string, existing: string, config: Config): Promise<Finding[]> {
  if (process.platform !== 'linux') return [];
  const facts = await statfs(existing).catch(() => undefined);
  const fileSystem = facts === undefined ? undefined : FILE_SYSTEMS.get(facts.type >>> 0);
  if (fileSystem === undefined || fileSystem.verdict === 'good') return [];
  const { name, verdict } = fileSystem;
  if (verdict === 'volatile') {
    const message = `${disk} is on ${name}: it is gone when the machine stops`;
    return [{ code: 'disk-in-memory', severity: 'warning', message, fix: 'Use a directory on a real device.' }];
  }
  if (verdict === 'unproven') {
    const message = `${disk} is on ${name}; whether a sync there reaches a device depends on what is below`;
    return [
      { code: 'disk-file-system', severity: 'warning', message, fix: 'Use a volume with ext4 or xfs of its own.' },
    ];
  }
  const isAllowed = config.storage.allowUnusualFilesystems;
  return [
    {
      code: 'disk-file-system',
      severity: isAllowed ? 'warning' : 'error',
      message: `${disk} is on ${name}, where a sync may be acknowledged before it happened`,
      fix: isAllowed
        ? undefined
        : 'Use ext4 or xfs on a local device, or accept the risk: --allow-unusual-filesystems true',
    },
  ];
}

/** See `findSharedDevice`. */
export async function checkDevices(diskPaths: readonly string[], code: ErasureCode): Promise<Finding[]> {
  const facts = await Promise.all(diskPaths.map((disk) => stat(disk).catch(() => undefined)));
  return findSharedDevice(
    facts.map((found) => found?.dev),
    code,
  );
}

/** Linux's `O_TMPFILE`: a file without a name, so that a probe leaves nothing behind whatever happens. */
const O_TMPFILE = 0o20200000;
const PROBE_ROUNDS = 5;
const SLOW_SYNC_MS = 50;

/** Measures what one small synced write costs on each disk. Leaves nothing behind. */
export async function measureSyncs(diskPaths: readonly string[], monotonicMs: () => number): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const disk of diskPaths) {
    const medianMs = await measureSync(disk, monotonicMs);
    if (medianMs === undefined) continue;
    const isSlow = medianMs > SLOW_SYNC_MS;
    findings.push({
      code: isSlow ? 'disk-sync-slow' : 'disk-sync',
      severity: isSlow ? 'warning' : 'info',
      message: `${disk}: a synced write takes ${medianMs.toFixed(2)} ms`,
      fix: isSlow ? 'Every write waits for it. Look for a failing drive, or put the directory on an SSD.' : undefined,
    });
  }
  return findings;
}

async function measureSync(disk: string, monotonicMs: () => number): Promise<number | undefined> {
  if (process.platform !== 'linux') return undefined;
  const file = await open(disk, O_TMPFILE | constants.O_RDWR, 0o600).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const block = Buffer.alloc(4096, 1);
    const times: number[] = [];
    for (let round = 0; round < PROBE_ROUNDS; round += 1) {
      const before = monotonicMs();
      await file.write(block, 0, block.length, round * block.length);
      await file.datasync();
      times.push(monotonicMs() - before);
    }
    return times.sort((left, right) => left - right)[Math.floor(PROBE_ROUNDS / 2)];
  } finally {
    await file.close();
  }
}

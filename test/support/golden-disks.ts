import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../repository/tracked-files.ts';

/** What must be read from the golden disks of one format version; made by `tools/make-golden-disks.ts`. */
export interface GoldenManifest {
  formatVersion: number;
  code: string;
  /** Directories in the archive. */
  disks: string[];
  /** The root key that is stored on the disks, sealed by `state/master.key` of the archive. */
  credentials: { accessKeyId: string; secretAccessKey: string };
  objects: {
    bucket: string;
    key: string;
    sizeBytes: number;
    sha256: string;
    etag: string;
    metadata: Record<string, string>;
  }[];
  /** From format 2 on: what the server that opens them is configured with. */
  environment?: Record<string, string>;
  /** Of other buckets than `objects`. Absent `versionId`: of a bucket that was never versioned. */
  versions?: {
    bucket: string;
    key: string;
    versionId?: string;
    sizeBytes: number;
    sha256: string;
    etag: string;
    /** Encrypted with the customer key of `golden-features.ts`. */
    isCustomers?: boolean;
  }[];
  /** What a server must say, by the operation asked. */
  answers?: { operation: string; input: object; answer: unknown }[];
  /** Multipart uploads in progress. */
  uploads: { bucket: string; key: string; uploadId: string; partNumbers: number[] }[];
}

const GOLDEN_FOLDER = join(repositoryRoot, 'test/fixtures/golden');

export function goldenArchive(formatVersion: number): string {
  return join(GOLDEN_FOLDER, `format-${formatVersion}.tar.gz`);
}

export function goldenManifestFile(formatVersion: number): string {
  return join(GOLDEN_FOLDER, `format-${formatVersion}.json`);
}

export function goldenManifest(formatVersion: number): GoldenManifest {
  return JSON.parse(readFileSync(goldenManifestFile(formatVersion), 'utf8')) as GoldenManifest;
}

/** Unpacks disks and `state/master.key` below `folder`. */
export function unpackGoldenDisks(formatVersion: number, folder: string): void {
  mkdirSync(folder, { recursive: true });
  execFileSync('tar', ['-x', '-z', '-f', goldenArchive(formatVersion), '-C', folder]);
}

/** Every version that golden disks were kept of. */
export function goldenVersions(): number[] {
  const names = readdirSync(GOLDEN_FOLDER);
  return names
    .flatMap((name) => /^format-(\d+)\.json$/.exec(name)?.slice(1).map(Number) ?? [])
    .toSorted((a, b) => a - b);
}

import { createHmac } from 'node:crypto';
import path from 'node:path';
import type { Randomness } from '../model/clock.ts';
import { readFileIfPresent, writePrivateFile } from './private-file.ts';

/** 256 bits that seal everything secret in the metadata store. Never logged, never stored on the disks. */
export type MasterKey = Buffer;

const MASTER_KEY_BYTES = 32;
const FILE_NAME = 'master.key';

export function masterKeyFile(stateDirectory: string): string {
  return path.join(stateDirectory, FILE_NAME);
}

/** Reads a key file: 64 hex digits, white space around them ignored. @throws Error when it holds anything else */
export async function readMasterKey(file: string): Promise<MasterKey | undefined> {
  const content = await readFileIfPresent(file);
  if (content === undefined) return undefined;
  const key = parseMasterKey(content.trim());
  if (key === undefined) throw new Error(`${file} is not a master key: it must hold 64 hex digits`);
  return key;
}

export function parseMasterKey(hex: string): MasterKey | undefined {
  return /^[0-9a-fA-F]{64}$/.test(hex) ? Buffer.from(hex, 'hex') : undefined;
}

/** Makes a new random key in the state directory, durable when this resolves. An existing file is kept and returned. */
export async function ensureMasterKey(stateDirectory: string, randomness: Randomness): Promise<MasterKey> {
  const file = masterKeyFile(stateDirectory);
  const existing = await readMasterKey(file);
  if (existing !== undefined) return existing;
  const key = randomness.bytes(MASTER_KEY_BYTES);
  await writePrivateFile(file, `${key.toString('hex')}\n`);
  return key;
}

/** Tells keys apart without telling anything about them; stands in every sealed document. */
export function masterKeyFingerprint(key: MasterKey): string {
  return createHmac('sha256', key).update('holdfast master key fingerprint v1').digest('hex').slice(0, 16);
}

/** Has this very key been copied to a safe place by `holdfast credentials export-key`? */
export async function isMasterKeyExported(stateDirectory: string, key: MasterKey): Promise<boolean> {
  const marker = await readFileIfPresent(`${masterKeyFile(stateDirectory)}.exported`);
  return marker?.trim() === masterKeyFingerprint(key);
}

export async function markMasterKeyExported(stateDirectory: string, key: MasterKey): Promise<void> {
  await writePrivateFile(`${masterKeyFile(stateDirectory)}.exported`, `${masterKeyFingerprint(key)}\n`);
}

import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import type { DocumentAddress } from '../metadata-store/metadata-store.ts';
import type { Randomness } from '../model/clock.ts';
import { masterKeyFingerprint, type MasterKey } from './master-key.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FORMAT_VERSION = 1;

interface Envelope {
  version: number;
  /** Which master key sealed it. */
  keyFingerprint: string;
  /** Base64: nonce, ciphertext, tag. */
  sealed: string;
}

export interface SealContext {
  masterKey: MasterKey;
  /** Bound into key and AAD: a document copied from another cluster does not open. */
  clusterId: string;
  /** Bound into the AAD: a document moved to another name does not open. */
  address: DocumentAddress;
}

/** A sealed document cannot be opened: another master key, or it was changed. */
export class SealBrokenError extends Error {
  readonly reason: 'other-key' | 'damaged';

  constructor(reason: 'other-key' | 'damaged', address: DocumentAddress, options: { cause?: unknown } = {}) {
    const what = `the sealed document ${address.collection}/${address.id}`;
    super(
      reason === 'other-key' ? `${what} was sealed with another master key` : `${what} was changed or damaged`,
      options,
    );
    this.name = 'SealBrokenError';
    this.reason = reason;
  }
}

/** AES-256-GCM under a key derived for this purpose and cluster; the nonce is random, 96 bits. */
export function sealDocument(plain: Buffer, context: SealContext, randomness: Randomness): Buffer {
  const nonce = randomness.bytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', deriveKey(context), nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(additionalData(context));
  const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const envelope: Envelope = {
    version: FORMAT_VERSION,
    keyFingerprint: masterKeyFingerprint(context.masterKey),
    sealed: sealed.toString('base64'),
  };
  return Buffer.from(JSON.stringify(envelope));
}

/** @throws SealBrokenError: never returns bytes that were not sealed under this key, cluster and name */
export function openDocument(body: Buffer, context: SealContext): Buffer {
  const envelope = readEnvelope(body, context.address);
  if (envelope.keyFingerprint !== masterKeyFingerprint(context.masterKey)) {
    throw new SealBrokenError('other-key', context.address);
  }
  const sealed = Buffer.from(envelope.sealed, 'base64');
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new SealBrokenError('damaged', context.address);
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', deriveKey(context), nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(additionalData(context));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  try {
    const plain = decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES));
    return Buffer.concat([plain, decipher.final()]);
  } catch (cause) {
    throw new SealBrokenError('damaged', context.address, { cause });
  }
}

function readEnvelope(body: Buffer, address: DocumentAddress): Envelope {
  try {
    const envelope = JSON.parse(body.toString()) as Partial<Envelope>;
    if (
      envelope.version === FORMAT_VERSION &&
      typeof envelope.keyFingerprint === 'string' &&
      typeof envelope.sealed === 'string'
    ) {
      return envelope as Envelope;
    }
  } catch (cause) {
    throw new SealBrokenError('damaged', address, { cause });
  }
  throw new SealBrokenError('damaged', address);
}

function deriveKey({ masterKey, clusterId }: SealContext): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, clusterId, 'holdfast sealed documents v1', 32));
}

function additionalData({ clusterId, address }: SealContext): Buffer {
  return Buffer.from(JSON.stringify(['holdfast', FORMAT_VERSION, clusterId, address.collection, address.id]));
}

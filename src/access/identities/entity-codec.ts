import { openDocument, sealDocument, type SealContext } from '../sealed-document.ts';
import type { Randomness } from '../../model/clock.ts';
import type { Entity } from './entities.ts';

/** Another number is a later version's: such a document is not understood, and what it describes does not exist here. */
const FORMAT = 1;

export interface EntitySeal {
  /** `undefined`: the key file is lost; sealed entities can be neither read nor written. */
  readonly context: SealContext | undefined;
  readonly randomness: Randomness;
}

/** JSON with a format number; sealed as a whole where it holds a secret. */
export function encodeEntity(entity: Entity, seal: EntitySeal | undefined): Buffer {
  const plain = Buffer.from(JSON.stringify({ format: FORMAT, ...entity }));
  if (seal === undefined) return plain;
  if (seal.context === undefined) throw new Error('the master key is missing: no secret can be stored');
  return sealDocument(plain, seal.context, seal.randomness);
}

/** @throws Error | SealBrokenError when it is not an entity of this format with this id */
export function decodeEntity(id: string, body: Buffer, seal: EntitySeal | undefined): Entity {
  if (seal !== undefined && seal.context === undefined) throw new Error('the master key is missing');
  const plain = seal?.context === undefined ? body : openDocument(body, seal.context);
  const { format, ...entity } = JSON.parse(plain.toString()) as Entity & { format: unknown };
  if (format !== FORMAT) throw new Error(`its format is ${String(format)}`);
  if (entity.id !== id || typeof entity.accountId !== 'string' || typeof entity.name !== 'string') {
    throw new Error('it holds something else');
  }
  return Object.freeze(entity);
}

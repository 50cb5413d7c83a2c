import { expect, test } from 'vitest';
import { openDocument, sealDocument, SealBrokenError, type SealContext } from '../../../src/access/sealed-document.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const CONTEXT: SealContext = {
  masterKey: Buffer.alloc(32, 7),
  clusterId: 'cluster-a',
  address: { collection: 'credentials', id: 'root' },
};
const SECRET = Buffer.from('{"secretAccessKey":"quite secret"}');
const random = new SeededRandomness(1);

test('a sealed document opens to the same bytes and shows nothing of them', () => {
  const sealed = sealDocument(SECRET, CONTEXT, random);
  expect(sealed.includes('secret')).toBe(false);
  expect(sealed.includes(SECRET.toString('base64'))).toBe(false);
  expect(openDocument(sealed, CONTEXT)).toEqual(SECRET);
});

test('two seals of one document differ', () => {
  expect(sealDocument(SECRET, CONTEXT, random).equals(sealDocument(SECRET, CONTEXT, random))).toBe(false);
});

test('every flipped bit of nonce, ciphertext and tag is noticed', () => {
  const envelope = JSON.parse(sealDocument(SECRET, CONTEXT, random).toString()) as { sealed: string };
  const bytes = Buffer.from(envelope.sealed, 'base64');
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const damaged = Buffer.from(bytes);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const body = Buffer.from(JSON.stringify({ ...envelope, sealed: damaged.toString('base64') }));
    expect(() => openDocument(body, CONTEXT)).toThrow(SealBrokenError);
  }
});

test('a shortened tag is refused', () => {
  const envelope = JSON.parse(sealDocument(SECRET, CONTEXT, random).toString()) as { sealed: string };
  for (let cut = 1; cut <= 16; cut += 1) {
    const sealed = Buffer.from(envelope.sealed, 'base64').subarray(0, -cut).toString('base64');
    expect(() => openDocument(Buffer.from(JSON.stringify({ ...envelope, sealed })), CONTEXT)).toThrow(SealBrokenError);
  }
});

test.each<[string, Partial<SealContext>]>([
  ['another cluster', { clusterId: 'cluster-b' }],
  ['another name', { address: { collection: 'credentials', id: 'user' } }],
  ['another collection', { address: { collection: 'policies', id: 'root' } }],
])('a document copied to %s does not open', (_where, change) => {
  const sealed = sealDocument(SECRET, CONTEXT, random);
  expect(() => openDocument(sealed, { ...CONTEXT, ...change })).toThrow(/changed or damaged/);
});

test('another master key is named as the reason', () => {
  const sealed = sealDocument(SECRET, CONTEXT, random);
  expect(() => openDocument(sealed, { ...CONTEXT, masterKey: Buffer.alloc(32, 8) })).toThrow(/another master key/);
});

test.each(['', '{}', 'null', '{"version":2}', '{"version":1,"keyFingerprint":"x","sealed":""}', '[1]'])(
  'the body %j is refused',
  (body) => {
    expect(() => openDocument(Buffer.from(body), CONTEXT)).toThrow(SealBrokenError);
  },
);

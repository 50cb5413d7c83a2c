import type { Randomness } from '../../model/clock.ts';

/** 32 letters and digits that cannot be mistaken for one another and mean nothing to a shell: 5 bits each. */
const KEY_ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const ID_LETTERS = 17;

/** AWS's prefixes: tools tell users from roles by them. */
export const ID_PREFIXES = {
  users: 'AIDA',
  groups: 'AGPA',
  roles: 'AROA',
  policies: 'ANPA',
  oidcProviders: 'OIDC',
} as const;

export function makeEntityId(kind: keyof typeof ID_PREFIXES, randomness: Randomness): string {
  return `${ID_PREFIXES[kind]}${randomLetters(randomness, ID_LETTERS)}`;
}

/** 90 bits of id, 200 of secret. */
export function makeKeyPair(randomness: Randomness): { accessKeyId: string; secretAccessKey: string } {
  return {
    accessKeyId: `HF${randomLetters(randomness, 18)}`,
    secretAccessKey: randomLetters(randomness, 40).toLowerCase(),
  };
}

export function randomLetters(randomness: Randomness, count: number): string {
  return [...randomness.bytes(count)].map((byte) => KEY_ALPHABET[byte % KEY_ALPHABET.length]).join('');
}

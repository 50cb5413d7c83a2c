import type { Owner } from '../../model/object-record.ts';
import { parsePolicy } from '../policy/parse-policy.ts';
import { PolicyError } from '../policy/policy-error.ts';
import type { Policy } from '../policy/policy-document.ts';
import { IDENTITY_VOCABULARY } from '../policy/vocabulary.ts';
import type { Credential, Principal } from '../principal.ts';
import type { AccessKey } from './entities.ts';

/** `undefined`: it lets nobody in. */
export function credentialOf(key: AccessKey, owner: Owner): Credential | undefined {
  if (key.status !== 'Active') return undefined;
  const { id: accessKeyId, secretAccessKey, userId, serviceAccount } = key;
  const narrowing = serviceAccount === undefined ? [] : [parseStored(serviceAccount.policy)];
  if (narrowing.includes(undefined)) return undefined;
  const principal: Principal = {
    type: userId === undefined ? 'root' : 'user',
    accessKeyId,
    owner,
    ...(userId === undefined ? {} : { entityId: userId }),
    ...(serviceAccount === undefined ? {} : { narrowedBy: narrowing as Policy[] }),
  };
  return Object.freeze({ accessKeyId, secretAccessKey, principal: Object.freeze(principal) });
}

/** A policy that was checked when it was put; `undefined`: written by a later version, in words unknown here. */
export function parseStored(document: string): Policy | undefined {
  try {
    return parsePolicy(document, 'identity', IDENTITY_VOCABULARY);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return undefined;
  }
}

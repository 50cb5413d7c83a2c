import { isIP } from 'node:net';
import type { Condition, Policy, Statement } from './policy-document.ts';

/** A condition on one of these with fixed values makes a grant to everybody a grant to few. */
const NARROWING_KEYS = new Set([
  'aws:principalaccount',
  'aws:principalarn',
  'aws:principalorgid',
  'aws:sourceaccount',
  'aws:sourcearn',
  'aws:sourceip',
  'aws:sourcevpc',
  'aws:sourcevpce',
  'aws:userid',
  'aws:username',
  's3:dataaccesspointaccount',
  's3:dataaccesspointarn',
  's3:x-amz-server-side-encryption-aws-kms-key-id',
]);

/**
 * S3's meaning of public: some statement allows everybody, and no condition on fixed values narrows it. What it cannot
 * tell it calls public.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
 */
export function isPublicPolicy(policy: Policy): boolean {
  return policy.statements.some(isPublicStatement);
}

function isPublicStatement({ effect, principals, conditions }: Statement): boolean {
  if (effect === 'Deny' || principals === undefined) return false;
  const isForEverybody = principals.isEverybody || principals.isNot || principals.federated.includes('*');
  return isForEverybody && !conditions.some(isNarrowing);
}

function isNarrowing({ key, quantifier, holdsIfMissing, test }: Condition): boolean {
  if (!NARROWING_KEYS.has(key) || quantifier === 'ForAllValues' || holdsIfMissing) return false;
  if (test.type === 'null' || test.operator.isNegated) return false;
  return test.templates.every(({ source, pattern }) => {
    if (pattern === undefined) return false;
    if (key === 'aws:sourceip') return isSmallNetwork(source);
    // Callers without credentials have this one user id.
    return !/[*?]/.test(source) && !(key === 'aws:userid' && source.toLowerCase() === 'anonymous');
  });
}

/** S3 calls a network public that is wider than /8 (IPv4) or /32 (IPv6). Patterns of operators on strings are no networks. */
function isSmallNetwork(source: string): boolean {
  const [address, bits] = source.split('/');
  if (isIP(address!) === 0) return false;
  if (bits === undefined) return true;
  return Number(bits) >= (address!.includes(':') ? 32 : 8);
}

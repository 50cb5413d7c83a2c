import { parsePolicy, type PolicyKind } from '../../access/policy/parse-policy.ts';
import { PolicyError } from '../../access/policy/policy-error.ts';
import { IDENTITY_VOCABULARY } from '../../access/policy/vocabulary.ts';
import { IamError } from '../../errors/iam-error.ts';
import { encodePercent } from '../../s3/sigv4/percent-encoding.ts';

/** @throws IamError MalformedPolicyDocument */
export function checkPolicyDocument(document: string, kind: PolicyKind): void {
  try {
    parsePolicy(document, kind, IDENTITY_VOCABULARY);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new IamError('MalformedPolicyDocument', error.message, { cause: error });
  }
}

/** White space does not count. */
export function policySizeOf(document: string): number {
  return document.replaceAll(/\s/g, '').length;
}

/** As IAM answers documents: percent-encoded (RFC 3986). */
export function answerDocument(document: string): string {
  return encodePercent(document);
}

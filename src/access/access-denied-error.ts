import { S3Error } from '../errors/s3-error.ts';
import type { AccessDecision } from './policy/decide-access.ts';

/** A refusal by policies, with the statement that decided, if one did. The client is told neither. */
export class AccessDeniedError extends S3Error {
  readonly decision: AccessDecision;

  constructor(decision: AccessDecision) {
    super('AccessDenied', { hint: `denied: ${decision.reason}` });
    this.decision = decision;
  }
}

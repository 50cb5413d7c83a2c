import type { ToldDecision } from '../access/principal.ts';
import type { AccessEntry } from '../http/http-exchange.ts';

/** Keeps for the audit log what decided a request: a refusal, or else the first permission. */
export function noteDecision(access: AccessEntry): (decision: ToldDecision) => void {
  return (decision) => {
    if (access.decision === undefined || (access.decision.isAllowed && !decision.isAllowed)) access.decision = decision;
  };
}

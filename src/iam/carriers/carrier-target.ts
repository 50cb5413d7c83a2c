import type { Tag } from '../../model/object-record.ts';
import type { Parameter, ParameterSpecs } from '../parameter.ts';
import type { QueryTarget, TargetRequest } from '../query-operation.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import type { CarrierKind } from './carrier-kinds.ts';

/** `UserName`, `GroupName` or `RoleName` beside what the operation takes. */
export function withName<P extends ParameterSpecs>(
  kind: CarrierKind,
  parameters: P,
): P & Record<string, Parameter<string>> {
  return { [`${kind.name}Name`]: kind.nameParameter, ...parameters };
}

export function carrierName(kind: CarrierKind, parameters: object): string {
  return (parameters as Record<string, string>)[`${kind.name}Name`]!;
}

/** The user, group or role, with its tags and boundary, and the policy that is attached or detached. */
export function onCarrier(kind: CarrierKind) {
  return ({ parameters, principal, services: { identities } }: TargetRequest<ParameterSpecs>): QueryTarget => {
    const name = carrierName(kind, parameters);
    const carrier = identities[kind.entities].find(principal.owner.accountId, name);
    const { tags, boundaryArn } = (carrier ?? {}) as { tags?: readonly Tag[]; boundaryArn?: string };
    const { PolicyArn, PermissionsBoundary } = parameters as { PolicyArn?: string; PermissionsBoundary?: string };
    return iamTarget(kind.resource(identities, principal, name), {
      resourceTags: tags,
      boundaryArn: PermissionsBoundary ?? boundaryArn,
      ...(PolicyArn === undefined ? {} : { policyArn: PolicyArn }),
    });
  };
}

import type { Role, User } from '../../access/identities/entities.ts';
import { IamError } from '../../errors/iam-error.ts';
import { queryOperation, type QueryOperationRow } from '../query-operation.ts';
import { requirePolicy } from '../rules/find-entities.ts';
import { ARN } from '../rules/parameters.ts';
import { ACTOR_KINDS, type CarrierKind, putCarrier } from './carrier-kinds.ts';
import { carrierName, onCarrier, withName } from './carrier-target.ts';

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPermissionsBoundary.html */
function putBoundary(kind: CarrierKind): QueryOperationRow {
  return queryOperation({
    name: `Put${kind.name}PermissionsBoundary`,
    service: 'iam',
    parameters: withName(kind, { PermissionsBoundary: ARN }),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      await identities.change(async (writer) => {
        const actor = kind.require(identities, principal, carrierName(kind, parameters)) as User | Role;
        requirePolicy(identities, principal, parameters.PermissionsBoundary);
        await putCarrier(writer, kind, { ...actor, boundaryArn: parameters.PermissionsBoundary });
      });
      return undefined;
    },
  });
}

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUserPermissionsBoundary.html */
function deleteBoundary(kind: CarrierKind): QueryOperationRow {
  return queryOperation({
    name: `Delete${kind.name}PermissionsBoundary`,
    service: 'iam',
    parameters: withName(kind, {}),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      await identities.change(async (writer) => {
        const actor = kind.require(identities, principal, carrierName(kind, parameters)) as User | Role;
        const { boundaryArn, ...unbounded } = actor;
        if (boundaryArn === undefined) {
          throw new IamError('NoSuchEntity', `${kind.name} ${actor.name} has no permissions boundary.`);
        }
        await putCarrier(writer, kind, unbounded);
      });
      return undefined;
    },
  });
}

export const BOUNDARY_OPERATIONS: readonly QueryOperationRow[] = ACTOR_KINDS.flatMap((kind) => [
  putBoundary(kind),
  deleteBoundary(kind),
]);

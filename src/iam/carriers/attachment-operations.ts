import { findManagedPolicy } from '../../access/identities/policy-library.ts';
import { IamError } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { queryOperation, type QueryOperationRow } from '../query-operation.ts';
import { requirePolicy } from '../rules/find-entities.ts';
import { ARN, PATH_PREFIX } from '../rules/parameters.ts';
import { CARRIER_KINDS, type CarrierKind, putCarrier } from './carrier-kinds.ts';
import { carrierName, onCarrier, withName } from './carrier-target.ts';

const MOST_ATTACHED = 10;

/** One that is attached already: succeeds. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachUserPolicy.html */
function attachPolicy(kind: CarrierKind): QueryOperationRow {
  return queryOperation({
    name: `Attach${kind.name}Policy`,
    service: 'iam',
    parameters: withName(kind, { PolicyArn: ARN }),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      const { PolicyArn } = parameters;
      await identities.change(async (writer) => {
        const carrier = kind.require(identities, principal, carrierName(kind, parameters));
        requirePolicy(identities, principal, PolicyArn);
        if (carrier.attachedPolicyArns.includes(PolicyArn)) return;
        if (carrier.attachedPolicyArns.length >= MOST_ATTACHED) {
          const quota = `AttachedPoliciesPer${kind.name}: ${MOST_ATTACHED}`;
          throw new IamError('LimitExceeded', `Cannot exceed quota for ${quota}`);
        }
        const attachedPolicyArns = [...carrier.attachedPolicyArns, PolicyArn];
        await putCarrier(writer, kind, { ...carrier, attachedPolicyArns });
      });
      return undefined;
    },
  });
}

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachUserPolicy.html */
function detachPolicy(kind: CarrierKind): QueryOperationRow {
  return queryOperation({
    name: `Detach${kind.name}Policy`,
    service: 'iam',
    parameters: withName(kind, { PolicyArn: ARN }),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      const { PolicyArn } = parameters;
      await identities.change(async (writer) => {
        const carrier = kind.require(identities, principal, carrierName(kind, parameters));
        if (!carrier.attachedPolicyArns.includes(PolicyArn)) {
          throw new IamError('NoSuchEntity', `Policy ${PolicyArn} was not found.`);
        }
        const attachedPolicyArns = carrier.attachedPolicyArns.filter((arn) => arn !== PolicyArn);
        await putCarrier(writer, kind, { ...carrier, attachedPolicyArns });
      });
      return undefined;
    },
  });
}

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedUserPolicies.html */
function listAttachedPolicies(kind: CarrierKind): QueryOperationRow {
  return queryOperation({
    name: `ListAttached${kind.name}Policies`,
    service: 'iam',
    parameters: withName(kind, { PathPrefix: PATH_PREFIX, ...PAGING_PARAMETERS }),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      const { attachedPolicyArns } = kind.require(identities, principal, carrierName(kind, parameters));
      const attached = attachedPolicyArns
        .map((arn) => ({ arn, policy: findManagedPolicy(identities, arn) }))
        .filter(({ policy }) => (policy?.path ?? '/').startsWith(parameters.PathPrefix ?? '/'))
        .toSorted((a, b) => (a.arn < b.arn ? -1 : 1));
      const { items, IsTruncated, Marker } = pageOf(attached, parameters, ({ arn }) => arn);
      return {
        AttachedPolicies: items.map(({ arn, policy }) => ({ PolicyName: policy?.name, PolicyArn: arn })),
        IsTruncated,
        Marker,
      };
    },
  });
}

export const ATTACHMENT_OPERATIONS: readonly QueryOperationRow[] = CARRIER_KINDS.flatMap((kind) => [
  attachPolicy(kind),
  detachPolicy(kind),
  listAttachedPolicies(kind),
]);

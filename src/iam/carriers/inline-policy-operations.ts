import { IamError } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { queryOperation, type QueryOperationRow } from '../query-operation.ts';
import { POLICY_DOCUMENT, POLICY_NAME } from '../rules/parameters.ts';
import { answerDocument, checkPolicyDocument, policySizeOf } from '../rules/policy-documents.ts';
import { type Carrier, CARRIER_KINDS, type CarrierKind, putCarrier } from './carrier-kinds.ts';
import { carrierName, onCarrier, withName } from './carrier-target.ts';

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPolicy.html */
function putPolicy(kind: CarrierKind): QueryOperationRow {
  return queryOperation({
    name: `Put${kind.name}Policy`,
    service: 'iam',
    parameters: withName(kind, { PolicyName: POLICY_NAME, PolicyDocument: POLICY_DOCUMENT }),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      const { PolicyName, PolicyDocument } = parameters;
      checkPolicyDocument(PolicyDocument, 'identity');
      await identities.change(async (writer) => {
        const carrier = kind.require(identities, principal, carrierName(kind, parameters));
        const others = carrier.inlinePolicies.filter(({ name }) => name !== PolicyName);
        const inlinePolicies = [...others, { name: PolicyName, document: PolicyDocument }];
        const size = inlinePolicies.reduce((sum, { document }) => sum + policySizeOf(document), 0);
        if (size > kind.inlineLimit) {
          const who = `${kind.name.toLowerCase()} ${carrier.name}`;
          throw new IamError('LimitExceeded', `Maximum policy size of ${kind.inlineLimit} bytes exceeded for ${who}`);
        }
        await putCarrier(writer, kind, { ...carrier, inlinePolicies });
      });
      return undefined;
    },
  });
}

function getPolicy(kind: CarrierKind): QueryOperationRow {
  return queryOperation({
    name: `Get${kind.name}Policy`,
    service: 'iam',
    parameters: withName(kind, { PolicyName: POLICY_NAME }),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      const carrier = kind.require(identities, principal, carrierName(kind, parameters));
      const { name, document } = requireInline(kind, carrier, parameters.PolicyName);
      return { [`${kind.name}Name`]: carrier.name, PolicyName: name, PolicyDocument: answerDocument(document) };
    },
  });
}

function deletePolicy(kind: CarrierKind): QueryOperationRow {
  return queryOperation({
    name: `Delete${kind.name}Policy`,
    service: 'iam',
    parameters: withName(kind, { PolicyName: POLICY_NAME }),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      await identities.change(async (writer) => {
        const carrier = kind.require(identities, principal, carrierName(kind, parameters));
        const gone = requireInline(kind, carrier, parameters.PolicyName);
        const inlinePolicies = carrier.inlinePolicies.filter((policy) => policy !== gone);
        await putCarrier(writer, kind, { ...carrier, inlinePolicies });
      });
      return undefined;
    },
  });
}

function listPolicies(kind: CarrierKind): QueryOperationRow {
  return queryOperation({
    name: `List${kind.name}Policies`,
    service: 'iam',
    parameters: withName(kind, PAGING_PARAMETERS),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      const { inlinePolicies } = kind.require(identities, principal, carrierName(kind, parameters));
      const names = inlinePolicies.map(({ name }) => name).toSorted();
      const { items, IsTruncated, Marker } = pageOf(names, parameters, (name) => name);
      return { PolicyNames: items, IsTruncated, Marker };
    },
  });
}

function requireInline(kind: CarrierKind, carrier: Carrier, name: string): { name: string; document: string } {
  const policy = carrier.inlinePolicies.find((candidate) => candidate.name === name);
  if (policy === undefined) {
    throw new IamError('NoSuchEntity', `The ${kind.name.toLowerCase()} policy with name ${name} cannot be found.`);
  }
  return policy;
}

export const INLINE_POLICY_OPERATIONS: readonly QueryOperationRow[] = CARRIER_KINDS.flatMap((kind) => [
  putPolicy(kind),
  getPolicy(kind),
  deletePolicy(kind),
  listPolicies(kind),
]);

import type { ManagedPolicy, Role, User } from '../../access/identities/entities.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { queryOperation, type QueryOperationRow, type QueryTarget, type TargetRequest } from '../query-operation.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import { requireOwnPolicy, requirePolicy } from '../rules/find-entities.ts';
import { ARN, mergeTags, TAG_KEYS, TAGS, withoutTags } from '../rules/parameters.ts';
import type { Tag } from '../../model/object-record.ts';
import { ACTOR_KINDS, type CarrierKind, putCarrier } from './carrier-kinds.ts';
import { carrierName, onCarrier, withName } from './carrier-target.ts';

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagUser.html */
function tagOperations(kind: CarrierKind): QueryOperationRow[] {
  const change = (
    { parameters, principal, services: { identities } }: TargetRequest<never>,
    next: (tags: readonly Tag[]) => Tag[],
  ): Promise<undefined> =>
    identities.change(async (writer) => {
      const actor = kind.require(identities, principal, carrierName(kind, parameters)) as User | Role;
      await putCarrier(writer, kind, { ...actor, tags: next(actor.tags) });
      return undefined;
    });
  const tag = queryOperation({
    name: `Tag${kind.name}`,
    service: 'iam',
    parameters: withName(kind, { Tags: TAGS }),
    target: (request) => {
      const { resource, conditions } = onCarrier(kind)(request);
      const asked = iamTarget(resource.arn, { requestTags: request.parameters.Tags }).conditions;
      return { resource, conditions: (key) => asked?.(key) ?? conditions?.(key) };
    },
    handler: (request) => change(request as never, (tags) => mergeTags(tags, request.parameters.Tags)),
  });
  const untag = queryOperation({
    name: `Untag${kind.name}`,
    service: 'iam',
    parameters: withName(kind, { TagKeys: TAG_KEYS }),
    target: (request) => {
      const { resource, conditions } = onCarrier(kind)(request);
      const asked = iamTarget(resource.arn, { tagKeys: request.parameters.TagKeys }).conditions;
      return { resource, conditions: (key) => asked?.(key) ?? conditions?.(key) };
    },
    handler: (request) => change(request as never, (tags) => withoutTags(tags, request.parameters.TagKeys)),
  });
  const list = queryOperation({
    name: `List${kind.name}Tags`,
    service: 'iam',
    parameters: withName(kind, PAGING_PARAMETERS),
    target: onCarrier(kind),
    handler: async ({ parameters, principal, services: { identities } }) => {
      const actor = kind.require(identities, principal, carrierName(kind, parameters)) as User | Role;
      return pageOfTags(actor.tags, parameters);
    },
  });
  return [tag, untag, list];
}

const POLICY = { PolicyArn: ARN };

function onPolicy(request: TargetRequest<typeof POLICY>, asked: Parameters<typeof iamTarget>[1]): QueryTarget {
  const { parameters, principal, services } = request;
  const { accountId } = principal.owner;
  const policies = services.identities.policies.list(accountId);
  const policy = policies.find(({ path, name }) => parameters.PolicyArn.endsWith(`:policy${path}${name}`));
  return iamTarget(parameters.PolicyArn, { resourceTags: policy?.tags, ...asked });
}

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagPolicy.html */
const tagPolicy = queryOperation({
  name: 'TagPolicy',
  service: 'iam',
  parameters: { ...POLICY, Tags: TAGS },
  target: (request) => onPolicy(request, { requestTags: request.parameters.Tags }),
  handler: ({ parameters, principal, services: { identities } }) =>
    identities.change(async (writer) => {
      const policy: ManagedPolicy = requireOwnPolicy(identities, principal, parameters.PolicyArn);
      await writer.policies.put({ ...policy, tags: mergeTags(policy.tags, parameters.Tags) });
      return undefined;
    }),
});

const untagPolicy = queryOperation({
  name: 'UntagPolicy',
  service: 'iam',
  parameters: { ...POLICY, TagKeys: TAG_KEYS },
  target: (request) => onPolicy(request, { tagKeys: request.parameters.TagKeys }),
  handler: ({ parameters, principal, services: { identities } }) =>
    identities.change(async (writer) => {
      const policy: ManagedPolicy = requireOwnPolicy(identities, principal, parameters.PolicyArn);
      await writer.policies.put({ ...policy, tags: withoutTags(policy.tags, parameters.TagKeys) });
      return undefined;
    }),
});

const listPolicyTags = queryOperation({
  name: 'ListPolicyTags',
  service: 'iam',
  parameters: { ...POLICY, ...PAGING_PARAMETERS },
  target: (request) => onPolicy(request, {}),
  handler: async ({ parameters, principal, services: { identities } }) =>
    pageOfTags(requirePolicy(identities, principal, parameters.PolicyArn).tags, parameters),
});

function pageOfTags(tags: readonly Tag[], paging: Parameters<typeof pageOf>[1]) {
  const sorted = tags.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const { items, IsTruncated, Marker } = pageOf(sorted, paging, ({ key }) => key);
  return { Tags: items.map(({ key, value }) => ({ Key: key, Value: value })), IsTruncated, Marker };
}

export const TAG_OPERATIONS: readonly QueryOperationRow[] = [
  ...ACTOR_KINDS.flatMap(tagOperations),
  tagPolicy,
  untagPolicy,
  listPolicyTags,
];

import type { ManagedPolicy, PolicyVersion } from '../../access/identities/entities.ts';
import { IamError } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { flag, optional, text } from '../parameter.ts';
import { type AnswerStructure, queryOperation, type QueryOperationRow } from '../query-operation.ts';
import { requireOwnPolicy, requirePolicy } from '../rules/find-entities.ts';
import { POLICY_DOCUMENT } from '../rules/parameters.ts';
import { answerDocument } from '../rules/policy-documents.ts';
import { checkManagedPolicy, onPolicy, POLICY } from './policy-operations.ts';

const VERSION_ID = text({ pattern: /^v[1-9]\d*(?:\.[A-Za-z0-9-]*)?$/ });
const MOST_VERSIONS = 5;

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicyVersion.html */
const createPolicyVersion = queryOperation({
  name: 'CreatePolicyVersion',
  service: 'iam',
  parameters: { ...POLICY, PolicyDocument: POLICY_DOCUMENT, SetAsDefault: optional(flag()) },
  target: onPolicy,
  handler: async ({ parameters, principal, services: { identities }, nowMs }) => {
    const { PolicyArn, PolicyDocument, SetAsDefault } = parameters;
    checkManagedPolicy(PolicyDocument);
    return await identities.change(async (writer) => {
      const policy = requireOwnPolicy(identities, principal, PolicyArn);
      if (policy.versions.length >= MOST_VERSIONS) {
        throw new IamError(
          'LimitExceeded',
          `A managed policy can have up to ${MOST_VERSIONS} versions. Before you create a new version, you must delete an existing version.`,
        );
      }
      const version: PolicyVersion = { id: `v${policy.nextVersion}`, document: PolicyDocument, createdAtMs: nowMs };
      const changed: ManagedPolicy = {
        ...policy,
        versions: [...policy.versions, version],
        nextVersion: policy.nextVersion + 1,
        updatedAtMs: nowMs,
        ...(SetAsDefault === true ? { defaultVersionId: version.id } : {}),
      };
      await writer.policies.put(changed);
      return { PolicyVersion: describeVersion(changed, version) };
    });
  },
});

/** With the document. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicyVersion.html */
const getPolicyVersion = queryOperation({
  name: 'GetPolicyVersion',
  service: 'iam',
  parameters: { ...POLICY, VersionId: VERSION_ID },
  target: onPolicy,
  handler: async ({ parameters: { PolicyArn, VersionId }, principal, services: { identities } }) => {
    const policy = requirePolicy(identities, principal, PolicyArn);
    const version = requireVersion(policy, PolicyArn, VersionId);
    return { PolicyVersion: { Document: answerDocument(version.document), ...describeVersion(policy, version) } };
  },
});

/** The newest first. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicyVersions.html */
const listPolicyVersions = queryOperation({
  name: 'ListPolicyVersions',
  service: 'iam',
  parameters: { ...POLICY, ...PAGING_PARAMETERS },
  target: onPolicy,
  handler: async ({ parameters, principal, services: { identities } }) => {
    const policy = requirePolicy(identities, principal, parameters.PolicyArn);
    const newestFirst = policy.versions.toReversed();
    const { items, IsTruncated, Marker } = pageOf(newestFirst, parameters, ({ id }) =>
      String(Number.MAX_SAFE_INTEGER - Number(id.slice(1))),
    );
    return { Versions: items.map((version) => describeVersion(policy, version)), IsTruncated, Marker };
  },
});

/** Not the default one. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicyVersion.html */
const deletePolicyVersion = queryOperation({
  name: 'DeletePolicyVersion',
  service: 'iam',
  parameters: { ...POLICY, VersionId: VERSION_ID },
  target: onPolicy,
  handler: async ({ parameters: { PolicyArn, VersionId }, principal, services: { identities }, nowMs }) => {
    await identities.change(async (writer) => {
      const policy = requireOwnPolicy(identities, principal, PolicyArn);
      const { id } = requireVersion(policy, PolicyArn, VersionId);
      if (id === policy.defaultVersionId) {
        throw new IamError('DeleteConflict', 'Cannot delete the default version of a policy.');
      }
      const versions = policy.versions.filter((version) => version.id !== id);
      await writer.policies.put({ ...policy, versions, updatedAtMs: nowMs });
    });
    return undefined;
  },
});

/** Holds from the next request on. @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_SetDefaultPolicyVersion.html */
const setDefaultPolicyVersion = queryOperation({
  name: 'SetDefaultPolicyVersion',
  service: 'iam',
  parameters: { ...POLICY, VersionId: VERSION_ID },
  target: onPolicy,
  handler: async ({ parameters: { PolicyArn, VersionId }, principal, services: { identities }, nowMs }) => {
    await identities.change(async (writer) => {
      const policy = requireOwnPolicy(identities, principal, PolicyArn);
      const { id } = requireVersion(policy, PolicyArn, VersionId);
      await writer.policies.put({ ...policy, defaultVersionId: id, updatedAtMs: nowMs });
    });
    return undefined;
  },
});

function requireVersion({ versions }: ManagedPolicy, arn: string, versionId: string): PolicyVersion {
  const version = versions.find(({ id }) => id === versionId);
  if (version === undefined) {
    throw new IamError('NoSuchEntity', `Policy ${arn} version ${versionId} does not exist or is not attachable.`);
  }
  return version;
}

function describeVersion({ defaultVersionId }: ManagedPolicy, { id, createdAtMs }: PolicyVersion): AnswerStructure {
  return { VersionId: id, IsDefaultVersion: id === defaultVersionId, CreateDate: new Date(createdAtMs) };
}

export const POLICY_VERSION_OPERATIONS: readonly QueryOperationRow[] = [
  createPolicyVersion,
  getPolicyVersion,
  listPolicyVersions,
  deletePolicyVersion,
  setDefaultPolicyVersion,
];

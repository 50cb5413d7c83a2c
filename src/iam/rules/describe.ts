import { groupArn, policyArn, roleArn, userArn } from '../../access/identities/arns.ts';
import type { Group, ManagedPolicy, Role, User } from '../../access/identities/entities.ts';
import type { Identities } from '../../access/identities/identities.ts';
import type { Tag } from '../../model/object-record.ts';
import type { AnswerStructure } from '../query-operation.ts';
import { answerDocument } from './policy-documents.ts';

/** As lists show it; an answer about one user shows more. */
export function describeUser(user: User): AnswerStructure {
  const { path, name, id, createdAtMs } = user;
  return { Path: path, UserName: name, UserId: id, Arn: userArn(user), CreateDate: new Date(createdAtMs) };
}

export function describeWholeUser(user: User): AnswerStructure {
  return { ...describeUser(user), PermissionsBoundary: describeBoundary(user), Tags: describeTags(user.tags) };
}

export function describeGroup(group: Group): AnswerStructure {
  const { path, name, id, createdAtMs } = group;
  return { Path: path, GroupName: name, GroupId: id, Arn: groupArn(group), CreateDate: new Date(createdAtMs) };
}

export function describeRole(role: Role): AnswerStructure {
  const { path, name, id, createdAtMs, trustPolicy, description, maxSessionDurationSeconds } = role;
  return {
    Path: path,
    RoleName: name,
    RoleId: id,
    Arn: roleArn(role),
    CreateDate: new Date(createdAtMs),
    AssumeRolePolicyDocument: answerDocument(trustPolicy),
    Description: description,
    MaxSessionDuration: maxSessionDurationSeconds,
  };
}

export function describeBoundary({ boundaryArn }: User | Role): AnswerStructure | undefined {
  if (boundaryArn === undefined) return undefined;
  return { PermissionsBoundaryType: 'Policy', PermissionsBoundaryArn: boundaryArn };
}

export function describeTags(tags: readonly Tag[]): AnswerStructure[] | undefined {
  return tags.length === 0 ? undefined : tags.map(({ key, value }) => ({ Key: key, Value: value }));
}

/** @param accountId whose use of it is counted: AWS's own policies are in all accounts */
export function describePolicy(policy: ManagedPolicy, identities: Identities, accountId: string): AnswerStructure {
  const arn = policyArn(policy);
  return {
    PolicyName: policy.name,
    PolicyId: policy.id,
    Arn: arn,
    Path: policy.path,
    DefaultVersionId: policy.defaultVersionId,
    AttachmentCount: carriersOf(identities, accountId, arn).length,
    PermissionsBoundaryUsageCount: boundedBy(identities, accountId, arn).length,
    IsAttachable: true,
    CreateDate: new Date(policy.createdAtMs),
    UpdateDate: new Date(policy.updatedAtMs),
  };
}

export function carriersOf(identities: Identities, accountId: string, arn: string): (User | Group | Role)[] {
  const { users, groups, roles } = identities;
  return [...users.list(accountId), ...groups.list(accountId), ...roles.list(accountId)].filter(
    ({ attachedPolicyArns }) => attachedPolicyArns.includes(arn),
  );
}

export function boundedBy({ users, roles }: Identities, accountId: string, arn: string): (User | Role)[] {
  return [...users.list(accountId), ...roles.list(accountId)].filter(({ boundaryArn }) => boundaryArn === arn);
}

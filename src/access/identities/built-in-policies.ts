import { AWS_ACCOUNT, type ManagedPolicy } from './entities.ts';

const READ_S3 = ['s3:Get*', 's3:List*'];

/** AWS's own managed policies, under AWS's ARNs, as far as they are about what is here. */
const BUILT_IN: readonly { name: string; description: string; actions: readonly string[] }[] = [
  { name: 'AdministratorAccess', description: 'Provides full access.', actions: ['*'] },
  { name: 'AmazonS3FullAccess', description: 'Provides full access to all buckets.', actions: ['s3:*'] },
  { name: 'AmazonS3ReadOnlyAccess', description: 'Provides read only access to all buckets.', actions: READ_S3 },
  {
    name: 'IAMFullAccess',
    description: 'Provides full access to users, groups, roles, policies and keys.',
    actions: ['iam:*'],
  },
  {
    name: 'IAMReadOnlyAccess',
    description: 'Provides read only access to users, groups, roles, policies and keys.',
    actions: ['iam:Generate*', 'iam:Get*', 'iam:List*', 'iam:Simulate*'],
  },
  {
    name: 'ReadOnlyAccess',
    description: 'Provides read only access to everything.',
    actions: [...READ_S3, 'iam:Generate*', 'iam:Get*', 'iam:List*', 'iam:Simulate*', 'kms:Describe*', 'sts:Get*'],
  },
];

/** By ARN. They are in every account, cannot be changed, and are written nowhere. */
export const BUILT_IN_POLICIES: ReadonlyMap<string, ManagedPolicy> = new Map(
  BUILT_IN.map(({ name, description, actions }) => [
    `arn:aws:iam::${AWS_ACCOUNT}:policy/${name}`,
    {
      id: `ANPA${name.toUpperCase()}`,
      accountId: AWS_ACCOUNT,
      name,
      path: '/',
      description,
      createdAtMs: 0,
      updatedAtMs: 0,
      versions: [{ id: 'v1', document: allowing(actions), createdAtMs: 0 }],
      defaultVersionId: 'v1',
      nextVersion: 2,
      tags: [],
    },
  ]),
);

function allowing(actions: readonly string[]): string {
  const Action = actions.length === 1 ? actions[0] : actions;
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action, Resource: '*' }] });
}

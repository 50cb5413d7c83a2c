import type { PolicyVocabulary } from './parse-policy.ts';

/** Actions of S3 that policies may name; a test compares them with the operation table. */
const S3_ACTIONS = `
AbortMultipartUpload BypassGovernanceRetention CreateBucket CreateBucketMetadataTableConfiguration DeleteBucket
DeleteBucketMetadataTableConfiguration DeleteBucketPolicy DeleteBucketWebsite DeleteObject DeleteObjectAnnotation
DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionAnnotation DeleteObjectVersionTagging
GetAccelerateConfiguration GetAccountPublicAccessBlock GetAnalyticsConfiguration GetBucketAbac GetBucketAcl GetBucketCORS
GetBucketLocation GetBucketLogging GetBucketMetadataTableConfiguration GetBucketNotification
GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus
GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite
GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration
GetMetricsConfiguration GetObject GetObjectAcl GetObjectAnnotation GetObjectAttributes GetObjectLegalHold
GetObjectRetention GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAnnotation
GetObjectVersionAttributes GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent
GetReplicationConfiguration InitiateReplication ListAllMyBuckets ListBucket ListBucketMultipartUploads ListBucketVersions
ListMultipartUploadParts ListObjectAnnotations ListTagsForResource ObjectOwnerOverrideToBucketOwner
PutAccelerateConfiguration PutAccountPublicAccessBlock PutAnalyticsConfiguration PutBucketAbac PutBucketAcl PutBucketCORS
PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite
PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration
PutMetricsConfiguration PutObject PutObjectAcl PutObjectAnnotation PutObjectLegalHold PutObjectRetention PutObjectTagging
PutObjectVersionAcl PutObjectVersionAnnotation PutObjectVersionTagging PutReplicationConfiguration ReplicateDelete
ReplicateObject ReplicateTags RestoreObject TagResource UntagResource UpdateBucketMetadataAnnotationTableConfiguration
UpdateBucketMetadataInventoryTableConfiguration UpdateBucketMetadataJournalTableConfiguration UpdateObjectEncryption
`;
const KMS_ACTIONS =
  'Decrypt DescribeKey Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo';
/** Those of IAM that are answered here, and those that only policies speak of. */
const IAM_ACTIONS = `
AddClientIDToOpenIDConnectProvider AddUserToGroup AttachGroupPolicy AttachRolePolicy AttachUserPolicy ChangePassword
CreateAccessKey CreateAccountAlias CreateGroup CreateOpenIDConnectProvider CreatePolicy CreatePolicyVersion CreateRole
CreateServiceLinkedRole CreateUser DeleteAccessKey DeleteAccountAlias DeleteGroup DeleteGroupPolicy
DeleteOpenIDConnectProvider DeletePolicy DeletePolicyVersion DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy
DeleteUser DeleteUserPermissionsBoundary DeleteUserPolicy DetachGroupPolicy DetachRolePolicy DetachUserPolicy
GenerateCredentialReport GetAccessKeyLastUsed GetAccountAuthorizationDetails GetAccountPasswordPolicy GetAccountSummary
GetContextKeysForCustomPolicy GetContextKeysForPrincipalPolicy GetCredentialReport GetGroup GetGroupPolicy
GetLoginProfile GetOpenIDConnectProvider GetPolicy GetPolicyVersion GetRole GetRolePolicy GetUser GetUserPolicy
ListAccessKeys ListAccountAliases ListAttachedGroupPolicies ListAttachedRolePolicies ListAttachedUserPolicies
ListEntitiesForPolicy ListGroupPolicies ListGroups ListGroupsForUser ListInstanceProfiles
ListInstanceProfilesForRole ListMFADevices ListOpenIDConnectProviderTags ListOpenIDConnectProviders ListPolicies
ListPolicyTags ListPolicyVersions ListRolePolicies ListRoleTags ListRoles ListSSHPublicKeys ListServerCertificates
ListServiceSpecificCredentials ListSigningCertificates ListUserPolicies ListUserTags ListUsers ListVirtualMFADevices
PassRole PutGroupPolicy PutRolePermissionsBoundary PutRolePolicy PutUserPermissionsBoundary PutUserPolicy
RemoveClientIDFromOpenIDConnectProvider RemoveUserFromGroup SetDefaultPolicyVersion SimulateCustomPolicy
SimulatePrincipalPolicy TagOpenIDConnectProvider TagPolicy TagRole TagUser UntagOpenIDConnectProvider UntagPolicy
UntagRole UntagUser UpdateAccessKey UpdateAssumeRolePolicy UpdateGroup UpdateOpenIDConnectProviderThumbprint UpdateRole
UpdateRoleDescription UpdateUser
`;
const STS_ACTIONS = `
AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity DecodeAuthorizationMessage GetAccessKeyInfo GetCallerIdentity
GetFederationToken GetServiceBearerToken GetSessionToken SetSourceIdentity TagSession
`;
const HOLDFAST_ACTIONS = 'GetStatus';

const S3_KEYS = new Set(
  `accessgrantsinstancearn accesspointnetworkorigin authtype dataaccesspointaccount dataaccesspointarn delimiter if-match
  if-none-match locationconstraint max-keys object-lock-legal-hold object-lock-mode object-lock-remaining-retention-days
  object-lock-retain-until-date objectcreationoperation prefix requestobjecttagkeys resourceaccount signatureage
  signatureversion tlsversion versionid x-amz-acl x-amz-bucket-namespace x-amz-content-sha256 x-amz-copy-source
  x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp
  x-amz-metadata-directive x-amz-object-ownership x-amz-server-side-encryption
  x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-customer-algorithm x-amz-storage-class
  x-amz-website-redirect-location`
    .split(/\s+/)
    .map((name) => `s3:${name}`),
);
const S3_KEY_PREFIXES = ['s3:existingobjecttag/', 's3:requestobjecttag/', 's3:buckettag/'];
/** Other services' keys are theirs to know: a policy may name them. Those of identity providers begin with a host. */
const OTHER_KEY =
  /^(aws|kms|iam|sts|saml|oidc|([a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9-]+(?=:\d))(:\d+)?(\/[^:]*)?):[a-z0-9_./:=@+-]+$/;

export const POLICY_VOCABULARY: PolicyVocabulary = {
  actions: [...prefixed('s3', S3_ACTIONS), ...prefixed('kms', KMS_ACTIONS)],
  isConditionKey: (key) => {
    if (!key.startsWith('s3:')) return OTHER_KEY.test(key);
    return S3_KEYS.has(key) || S3_KEY_PREFIXES.some((prefix) => key.startsWith(prefix) && key.length > prefix.length);
  },
};

/** An action of a service that is not here: `ec2:RunInstances`, `dynamodb:*`. A wildcard in the service's name is not one. */
const OTHER_ACTION = /^(?!(s3|kms|iam|sts|holdfast):)[a-z0-9-]+:[a-z0-9*?]+$/;

/** What policies of users, groups, roles and sessions may speak of. They may name other services, which nobody asks for here. */
export const IDENTITY_VOCABULARY: PolicyVocabulary = {
  actions: [
    ...POLICY_VOCABULARY.actions,
    ...prefixed('iam', IAM_ACTIONS),
    ...prefixed('sts', STS_ACTIONS),
    ...prefixed('holdfast', HOLDFAST_ACTIONS),
  ],
  isOtherAction: (action) => OTHER_ACTION.test(action),
  isConditionKey: POLICY_VOCABULARY.isConditionKey,
};

function prefixed(service: string, names: string): string[] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => `${service}:${name.toLowerCase()}`);
}

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
/** Other services' keys are theirs to know: a policy may name them, and no request of ours has them. */
const OTHER_KEY = /^(aws|kms|iam|sts|saml|oidc|[a-z0-9.-]+\.[a-z]+(\/[^:]*)?):[a-z0-9_./:=@+-]+$/;

export const POLICY_VOCABULARY: PolicyVocabulary = {
  actions: [...prefixed('s3', S3_ACTIONS), ...prefixed('kms', KMS_ACTIONS)],
  isConditionKey: (key) => {
    if (!key.startsWith('s3:')) return OTHER_KEY.test(key);
    return S3_KEYS.has(key) || S3_KEY_PREFIXES.some((prefix) => key.startsWith(prefix) && key.length > prefix.length);
  },
};

function prefixed(service: string, names: string): string[] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => `${service}:${name.toLowerCase()}`);
}

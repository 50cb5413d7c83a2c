import { ACL_HEADERS, OBJECT_ACL_HEADERS } from './headers/acl-headers.ts';
import { COPY_SOURCE_KEY_HEADERS, CUSTOMER_KEY_HEADERS, SSE_HEADERS } from './headers/encryption.ts';
import { BUCKET_POLICY_LIMIT_BYTES } from '../access/check-bucket-policy.ts';
import { OBJECT_LOCK_HEADERS } from './headers/object-lock-headers.ts';
import type { OperationHandler, OperationRow, OperationTarget } from './operation.ts';
import { abortMultipartUpload } from './operations/abort-multipart-upload.ts';
import { completeMultipartUpload } from './operations/complete-multipart-upload.ts';
import { copyObject } from './operations/copy-object.ts';
import { createBucket } from './operations/create-bucket.ts';
import { createMultipartUpload } from './operations/create-multipart-upload.ts';
import { deleteBucketEncryption } from './operations/delete-bucket-encryption.ts';
import { deleteBucket } from './operations/delete-bucket.ts';
import { deleteBucketLifecycle } from './operations/delete-bucket-lifecycle.ts';
import { deleteBucketTagging } from './operations/delete-bucket-tagging.ts';
import { deleteObject } from './operations/delete-object.ts';
import { deleteObjectTagging } from './operations/delete-object-tagging.ts';
import { deleteObjects } from './operations/delete-objects.ts';
import { deleteBucketPolicy } from './operations/delete-bucket-policy.ts';
import { deletePublicAccessBlock } from './operations/delete-public-access-block.ts';
import { putBucketPolicy } from './operations/put-bucket-policy.ts';
import { putPublicAccessBlock } from './operations/put-public-access-block.ts';
import { deleteBucketCors } from './operations/delete-bucket-cors.ts';
import { putBucketCors } from './operations/put-bucket-cors.ts';
import { postObject } from './operations/post-object.ts';
import { preflightRequest } from './operations/preflight-request.ts';
import { getBucketAbac } from './operations/get-bucket-abac.ts';
import { getBucketAccelerateConfiguration } from './operations/get-bucket-accelerate-configuration.ts';
import { getBucketAcl } from './operations/get-bucket-acl.ts';
import { getBucketAnalyticsConfiguration } from './operations/get-bucket-analytics-configuration.ts';
import { getBucketCors } from './operations/get-bucket-cors.ts';
import { getBucketEncryption } from './operations/get-bucket-encryption.ts';
import { getBucketIntelligentTieringConfiguration } from './operations/get-bucket-intelligent-tiering-configuration.ts';
import { getBucketInventoryConfiguration } from './operations/get-bucket-inventory-configuration.ts';
import { getBucketLifecycleConfiguration } from './operations/get-bucket-lifecycle-configuration.ts';
import { getBucketLocation } from './operations/get-bucket-location.ts';
import { getBucketLogging } from './operations/get-bucket-logging.ts';
import { getBucketMetadataConfiguration } from './operations/get-bucket-metadata-configuration.ts';
import { getBucketMetadataTableConfiguration } from './operations/get-bucket-metadata-table-configuration.ts';
import { getBucketMetricsConfiguration } from './operations/get-bucket-metrics-configuration.ts';
import { getBucketNotificationConfiguration } from './operations/get-bucket-notification-configuration.ts';
import { getBucketOwnershipControls } from './operations/get-bucket-ownership-controls.ts';
import { getBucketPolicy } from './operations/get-bucket-policy.ts';
import { getBucketPolicyStatus } from './operations/get-bucket-policy-status.ts';
import { getBucketReplication } from './operations/get-bucket-replication.ts';
import { getBucketRequestPayment } from './operations/get-bucket-request-payment.ts';
import { getBucketTagging } from './operations/get-bucket-tagging.ts';
import { getBucketVersioning } from './operations/get-bucket-versioning.ts';
import { getBucketWebsite } from './operations/get-bucket-website.ts';
import { getObject } from './operations/get-object.ts';
import { getObjectAcl } from './operations/get-object-acl.ts';
import { getObjectAttributes } from './operations/get-object-attributes.ts';
import { getObjectLegalHold } from './operations/get-object-legal-hold.ts';
import { getObjectLockConfiguration } from './operations/get-object-lock-configuration.ts';
import { getObjectRetention } from './operations/get-object-retention.ts';
import { getObjectTagging } from './operations/get-object-tagging.ts';
import { getPublicAccessBlock } from './operations/get-public-access-block.ts';
import { headBucket } from './operations/head-bucket.ts';
import { headObject } from './operations/head-object.ts';
import { listBucketAnalyticsConfigurations } from './operations/list-bucket-analytics-configurations.ts';
import { listBucketIntelligentTieringConfigurations } from './operations/list-bucket-intelligent-tiering-configurations.ts';
import { listBucketInventoryConfigurations } from './operations/list-bucket-inventory-configurations.ts';
import { listBucketMetricsConfigurations } from './operations/list-bucket-metrics-configurations.ts';
import { listBuckets } from './operations/list-buckets.ts';
import { listMultipartUploads } from './operations/list-multipart-uploads.ts';
import { listObjectVersions } from './operations/list-object-versions.ts';
import { listObjects } from './operations/list-objects.ts';
import { listObjectsV2 } from './operations/list-objects-v2.ts';
import { listParts } from './operations/list-parts.ts';
import { deleteBucketOwnershipControls } from './operations/delete-bucket-ownership-controls.ts';
import { putBucketOwnershipControls } from './operations/put-bucket-ownership-controls.ts';
import { putBucketRequestPayment } from './operations/put-bucket-request-payment.ts';
import { putBucketAcl } from './operations/put-bucket-acl.ts';
import { putBucketVersioning } from './operations/put-bucket-versioning.ts';
import { putBucketEncryption } from './operations/put-bucket-encryption.ts';
import { putBucketTagging } from './operations/put-bucket-tagging.ts';
import { putObjectAcl } from './operations/put-object-acl.ts';
import { putBucketLifecycleConfiguration } from './operations/put-bucket-lifecycle-configuration.ts';
import { putObjectLegalHold } from './operations/put-object-legal-hold.ts';
import { putObjectLockConfiguration } from './operations/put-object-lock-configuration.ts';
import { putObjectRetention } from './operations/put-object-retention.ts';
import { putObjectTagging } from './operations/put-object-tagging.ts';
import { putObject } from './operations/put-object.ts';
import { renameObject } from './operations/rename-object.ts';
import { updateObjectEncryption } from './operations/update-object-encryption.ts';
import { uploadPart } from './operations/upload-part.ts';
import { uploadPartCopy } from './operations/upload-part-copy.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

const CONTENT_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
  'x-amz-meta-',
];
const CHECKSUM_HEADERS = [
  'x-amz-checksum-crc32',
  'x-amz-checksum-crc32c',
  'x-amz-checksum-crc64nvme',
  'x-amz-checksum-md5',
  'x-amz-checksum-sha1',
  'x-amz-checksum-sha256',
  'x-amz-checksum-sha512',
  'x-amz-checksum-xxhash128',
  'x-amz-checksum-xxhash3',
  'x-amz-checksum-xxhash64',
];
const COPY_SOURCE_HEADERS = [
  'x-amz-copy-source',
  'x-amz-copy-source-if-match',
  'x-amz-copy-source-if-modified-since',
  'x-amz-copy-source-if-none-match',
  'x-amz-copy-source-if-unmodified-since',
];
const READ_INPUTS = [
  ...CUSTOMER_KEY_HEADERS,
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-unmodified-since',
  'range',
  'x-amz-checksum-mode',
  'partNumber',
  'response-cache-control',
  'response-content-disposition',
  'response-content-encoding',
  'response-content-language',
  'response-content-type',
  'response-expires',
  'versionId',
];

/** What a row is apart from name, method, target, selectors and action; the defaults suit a plain read. */
type RowDetails = Partial<
  Pick<
    OperationRow,
    'authorizes' | 'body' | 'bodyLimitBytes' | 'implementedInputs' | 'inputsOf' | 'selectingHeaders' | 'versionAction'
  >
>;

function row(
  name: string,
  method: OperationRow['method'],
  target: OperationTarget,
  selectors: readonly string[],
  action: string,
  handler: OperationHandler,
  details: RowDetails = {},
): OperationRow {
  return { name, method, target, selectors, selectingHeaders: [], action, body: 'none', handler, ...details };
}

function unimplemented(
  name: string,
  method: OperationRow['method'],
  target: OperationTarget,
  selectors: readonly string[],
  action: string,
  selectingHeaders: readonly string[] = [],
): OperationRow {
  return { name, method, target, selectors, selectingHeaders, action, body: 'none', handler: 'not-implemented' };
}

function sameRequest(name: string, as: OperationRow): OperationRow {
  return { ...as, name, sameRequestAs: as.name };
}

const SERVICE_AND_BUCKET_ROWS: readonly OperationRow[] = [
  row('ListBuckets', 'GET', 'service', [], 's3:ListAllMyBuckets', listBuckets, {
    implementedInputs: ['bucket-region', 'continuation-token', 'max-buckets', 'prefix'],
  }),
  row('CreateBucket', 'PUT', 'bucket', [], 's3:CreateBucket', createBucket, {
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
    implementedInputs: ['x-amz-bucket-object-lock-enabled', 'x-amz-object-ownership', ...ACL_HEADERS],
  }),
  row('HeadBucket', 'HEAD', 'bucket', [], 's3:ListBucket', headBucket),
  row('PutBucketAcl', 'PUT', 'bucket', ['acl'], 's3:PutBucketAcl', putBucketAcl, {
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
    implementedInputs: ACL_HEADERS,
  }),
  row('DeleteBucket', 'DELETE', 'bucket', [], 's3:DeleteBucket', deleteBucket),
  row('GetBucketLocation', 'GET', 'bucket', ['location'], 's3:GetBucketLocation', getBucketLocation),
  row('ListObjects', 'GET', 'bucket', [], 's3:ListBucket', listObjects, {
    implementedInputs: [
      'delimiter',
      'encoding-type',
      'marker',
      'max-keys',
      'prefix',
      'x-amz-optional-object-attributes',
    ],
  }),
  row('ListObjectsV2', 'GET', 'bucket', ['list-type=2'], 's3:ListBucket', listObjectsV2, {
    implementedInputs: [
      'continuation-token',
      'delimiter',
      'encoding-type',
      'fetch-owner',
      'max-keys',
      'prefix',
      'start-after',
      'x-amz-optional-object-attributes',
    ],
  }),
  row('ListObjectVersions', 'GET', 'bucket', ['versions'], 's3:ListBucketVersions', listObjectVersions, {
    implementedInputs: [
      'delimiter',
      'encoding-type',
      'key-marker',
      'max-keys',
      'prefix',
      'version-id-marker',
      'x-amz-optional-object-attributes',
    ],
  }),
  row('ListMultipartUploads', 'GET', 'bucket', ['uploads'], 's3:ListBucketMultipartUploads', listMultipartUploads, {
    implementedInputs: ['delimiter', 'encoding-type', 'key-marker', 'max-uploads', 'prefix', 'upload-id-marker'],
  }),
  row('DeleteObjects', 'POST', 'bucket', ['delete'], 's3:DeleteObject', deleteObjects, {
    authorizes: 'each-key',
    body: 'xml',
    bodyLimitBytes: 2 * MEBIBYTE,
    implementedInputs: ['x-amz-bypass-governance-retention'],
  }),
  row('GetBucketEncryption', 'GET', 'bucket', ['encryption'], 's3:GetEncryptionConfiguration', getBucketEncryption),
  row('PutBucketEncryption', 'PUT', 'bucket', ['encryption'], 's3:PutEncryptionConfiguration', putBucketEncryption, {
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
  }),
  row(
    'DeleteBucketEncryption',
    'DELETE',
    'bucket',
    ['encryption'],
    's3:PutEncryptionConfiguration',
    deleteBucketEncryption,
  ),
];

const OBJECT_ROWS: readonly OperationRow[] = [
  row('PutObject', 'PUT', 'object', [], 's3:PutObject', putObject, {
    body: 'stream',
    implementedInputs: [
      ...CONTENT_HEADERS,
      ...CHECKSUM_HEADERS,
      ...SSE_HEADERS,
      ...CUSTOMER_KEY_HEADERS,
      'if-match',
      'if-none-match',
      'x-amz-storage-class',
      'x-amz-tagging',
      'x-amz-write-offset-bytes',
      ...OBJECT_LOCK_HEADERS,
      ...OBJECT_ACL_HEADERS,
    ],
  }),
  // Not in AWS's model: a browser's form, whose fields are named as the headers of PutObject.
  row('PostObject', 'POST', 'bucket', [], 's3:PutObject', postObject, {
    body: 'form',
    inputsOf: 'PutObject',
    implementedInputs: [
      ...CONTENT_HEADERS,
      ...CHECKSUM_HEADERS,
      ...SSE_HEADERS,
      ...CUSTOMER_KEY_HEADERS,
      'x-amz-storage-class',
      'x-amz-tagging',
      ...OBJECT_LOCK_HEADERS,
      ...OBJECT_ACL_HEADERS,
    ],
  }),
  row('CopyObject', 'PUT', 'object', [], 's3:PutObject', copyObject, {
    selectingHeaders: ['x-amz-copy-source'],
    implementedInputs: [
      ...CONTENT_HEADERS,
      ...COPY_SOURCE_HEADERS,
      ...COPY_SOURCE_KEY_HEADERS,
      ...SSE_HEADERS,
      ...CUSTOMER_KEY_HEADERS,
      'if-match',
      'if-none-match',
      'x-amz-checksum-algorithm',
      'x-amz-metadata-directive',
      'x-amz-storage-class',
      'x-amz-tagging',
      'x-amz-tagging-directive',
      ...OBJECT_LOCK_HEADERS,
      ...OBJECT_ACL_HEADERS,
    ],
  }),
  row('GetObject', 'GET', 'object', [], 's3:GetObject', getObject, {
    versionAction: 's3:GetObjectVersion',
    implementedInputs: READ_INPUTS,
  }),
  row('HeadObject', 'HEAD', 'object', [], 's3:GetObject', headObject, {
    versionAction: 's3:GetObjectVersion',
    implementedInputs: READ_INPUTS,
  }),
  row('GetObjectAttributes', 'GET', 'object', ['attributes'], 's3:GetObject', getObjectAttributes, {
    versionAction: 's3:GetObjectVersion',
    implementedInputs: [
      ...CUSTOMER_KEY_HEADERS,
      'versionId',
      'x-amz-max-parts',
      'x-amz-object-attributes',
      'x-amz-part-number-marker',
    ],
  }),
  row('GetObjectAcl', 'GET', 'object', ['acl'], 's3:GetObjectAcl', getObjectAcl, {
    versionAction: 's3:GetObjectVersionAcl',
    implementedInputs: ['versionId'],
  }),
  row('PutObjectAcl', 'PUT', 'object', ['acl'], 's3:PutObjectAcl', putObjectAcl, {
    versionAction: 's3:PutObjectVersionAcl',
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
    implementedInputs: ['versionId', ...ACL_HEADERS],
  }),
  row('GetObjectTagging', 'GET', 'object', ['tagging'], 's3:GetObjectTagging', getObjectTagging, {
    versionAction: 's3:GetObjectVersionTagging',
    implementedInputs: ['versionId'],
  }),
  row('PutObjectTagging', 'PUT', 'object', ['tagging'], 's3:PutObjectTagging', putObjectTagging, {
    authorizes: 'with-body',
    versionAction: 's3:PutObjectVersionTagging',
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
    implementedInputs: ['versionId'],
  }),
  row('DeleteObjectTagging', 'DELETE', 'object', ['tagging'], 's3:DeleteObjectTagging', deleteObjectTagging, {
    versionAction: 's3:DeleteObjectVersionTagging',
    implementedInputs: ['versionId'],
  }),
  row('GetObjectLegalHold', 'GET', 'object', ['legal-hold'], 's3:GetObjectLegalHold', getObjectLegalHold, {
    implementedInputs: ['versionId'],
  }),
  row('PutObjectLegalHold', 'PUT', 'object', ['legal-hold'], 's3:PutObjectLegalHold', putObjectLegalHold, {
    authorizes: 'with-body',
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
    implementedInputs: ['versionId'],
  }),
  row('GetObjectRetention', 'GET', 'object', ['retention'], 's3:GetObjectRetention', getObjectRetention, {
    implementedInputs: ['versionId'],
  }),
  row('PutObjectRetention', 'PUT', 'object', ['retention'], 's3:PutObjectRetention', putObjectRetention, {
    authorizes: 'with-body',
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
    implementedInputs: ['versionId', 'x-amz-bypass-governance-retention'],
  }),
  row('RenameObject', 'PUT', 'object', ['renameObject'], 's3:PutObject', renameObject, {
    selectingHeaders: ['x-amz-rename-source'],
    implementedInputs: [
      'if-match',
      'if-modified-since',
      'if-none-match',
      'if-unmodified-since',
      'x-amz-client-token',
      'x-amz-rename-source',
      'x-amz-rename-source-if-match',
      'x-amz-rename-source-if-modified-since',
      'x-amz-rename-source-if-none-match',
      'x-amz-rename-source-if-unmodified-since',
    ],
  }),
  row('UpdateObjectEncryption', 'PUT', 'object', ['encryption'], 's3:UpdateObjectEncryption', updateObjectEncryption, {
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
    implementedInputs: ['versionId'],
  }),
  row('DeleteObject', 'DELETE', 'object', [], 's3:DeleteObject', deleteObject, {
    versionAction: 's3:DeleteObjectVersion',
    implementedInputs: [
      'if-match',
      'versionId',
      'x-amz-bypass-governance-retention',
      'x-amz-if-match-last-modified-time',
      'x-amz-if-match-size',
    ],
  }),
  row('CreateMultipartUpload', 'POST', 'object', ['uploads'], 's3:PutObject', createMultipartUpload, {
    implementedInputs: [
      ...CONTENT_HEADERS,
      ...SSE_HEADERS,
      ...CUSTOMER_KEY_HEADERS,
      'x-amz-checksum-algorithm',
      'x-amz-checksum-type',
      'x-amz-storage-class',
      'x-amz-tagging',
      ...OBJECT_LOCK_HEADERS,
      ...OBJECT_ACL_HEADERS,
    ],
  }),
  row('UploadPart', 'PUT', 'object', ['partNumber', 'uploadId'], 's3:PutObject', uploadPart, {
    body: 'stream',
    implementedInputs: [...CHECKSUM_HEADERS, ...CUSTOMER_KEY_HEADERS],
  }),
  row('UploadPartCopy', 'PUT', 'object', ['partNumber', 'uploadId'], 's3:PutObject', uploadPartCopy, {
    selectingHeaders: ['x-amz-copy-source'],
    implementedInputs: [
      ...COPY_SOURCE_HEADERS,
      ...COPY_SOURCE_KEY_HEADERS,
      ...CUSTOMER_KEY_HEADERS,
      'x-amz-copy-source-range',
    ],
  }),
  row('CompleteMultipartUpload', 'POST', 'object', ['uploadId'], 's3:PutObject', completeMultipartUpload, {
    body: 'xml',
    bodyLimitBytes: 4 * MEBIBYTE,
    implementedInputs: [
      ...CHECKSUM_HEADERS,
      ...CUSTOMER_KEY_HEADERS,
      'if-match',
      'if-none-match',
      'x-amz-checksum-type',
      'x-amz-mp-object-size',
    ],
  }),
  row('AbortMultipartUpload', 'DELETE', 'object', ['uploadId'], 's3:AbortMultipartUpload', abortMultipartUpload),
  row('ListParts', 'GET', 'object', ['uploadId'], 's3:ListMultipartUploadParts', listParts, {
    implementedInputs: [...CUSTOMER_KEY_HEADERS, 'max-parts', 'part-number-marker'],
  }),
];

/** What can be configured of a bucket. */
// prettier-ignore
const CONFIGURATION_ROWS: readonly OperationRow[] = [
  row('DeleteBucketLifecycle', 'DELETE', 'bucket', ['lifecycle'], 's3:PutLifecycleConfiguration', deleteBucketLifecycle),
  row('GetBucketLifecycleConfiguration', 'GET', 'bucket', ['lifecycle'], 's3:GetLifecycleConfiguration', getBucketLifecycleConfiguration),
  row('PutBucketLifecycleConfiguration', 'PUT', 'bucket', ['lifecycle'], 's3:PutLifecycleConfiguration', putBucketLifecycleConfiguration, { body: 'xml', bodyLimitBytes: 2 * MEBIBYTE, implementedInputs: ['x-amz-transition-default-minimum-object-size'] }),
  row('DeleteBucketTagging', 'DELETE', 'bucket', ['tagging'], 's3:PutBucketTagging', deleteBucketTagging),
  row('GetBucketTagging', 'GET', 'bucket', ['tagging'], 's3:GetBucketTagging', getBucketTagging),
  row('GetObjectLockConfiguration', 'GET', 'bucket', ['object-lock'], 's3:GetBucketObjectLockConfiguration', getObjectLockConfiguration),
  row('PutObjectLockConfiguration', 'PUT', 'bucket', ['object-lock'], 's3:PutBucketObjectLockConfiguration', putObjectLockConfiguration, { body: 'xml', bodyLimitBytes: 64 * KIBIBYTE }),
  row('GetBucketVersioning', 'GET', 'bucket', ['versioning'], 's3:GetBucketVersioning', getBucketVersioning),
  row('PutBucketVersioning', 'PUT', 'bucket', ['versioning'], 's3:PutBucketVersioning', putBucketVersioning, { body: 'xml', bodyLimitBytes: 64 * KIBIBYTE }),
  row('PutBucketTagging', 'PUT', 'bucket', ['tagging'], 's3:PutBucketTagging', putBucketTagging, { body: 'xml', bodyLimitBytes: 64 * KIBIBYTE }),
];

/** Reads of configurations that can be set to nothing yet: they answer as AWS does for a bucket where nobody has. */
// prettier-ignore
const CONFIGURATION_READ_ROWS: readonly OperationRow[] = [
  row('GetBucketAbac', 'GET', 'bucket', ['abac'], 's3:GetBucketAbac', getBucketAbac),
  row('GetBucketAccelerateConfiguration', 'GET', 'bucket', ['accelerate'], 's3:GetAccelerateConfiguration', getBucketAccelerateConfiguration),
  row('GetBucketAcl', 'GET', 'bucket', ['acl'], 's3:GetBucketAcl', getBucketAcl),
  row('GetBucketAnalyticsConfiguration', 'GET', 'bucket', ['analytics', 'id'], 's3:GetAnalyticsConfiguration', getBucketAnalyticsConfiguration),
  row('GetBucketCors', 'GET', 'bucket', ['cors'], 's3:GetBucketCORS', getBucketCors),
  row('GetBucketIntelligentTieringConfiguration', 'GET', 'bucket', ['intelligent-tiering', 'id'], 's3:GetIntelligentTieringConfiguration', getBucketIntelligentTieringConfiguration),
  row('GetBucketInventoryConfiguration', 'GET', 'bucket', ['inventory', 'id'], 's3:GetInventoryConfiguration', getBucketInventoryConfiguration),
  row('GetBucketLogging', 'GET', 'bucket', ['logging'], 's3:GetBucketLogging', getBucketLogging),
  row('GetBucketMetadataConfiguration', 'GET', 'bucket', ['metadataConfiguration'], 's3:GetBucketMetadataTableConfiguration', getBucketMetadataConfiguration),
  row('GetBucketMetadataTableConfiguration', 'GET', 'bucket', ['metadataTable'], 's3:GetBucketMetadataTableConfiguration', getBucketMetadataTableConfiguration),
  row('GetBucketMetricsConfiguration', 'GET', 'bucket', ['metrics', 'id'], 's3:GetMetricsConfiguration', getBucketMetricsConfiguration),
  row('GetBucketNotificationConfiguration', 'GET', 'bucket', ['notification'], 's3:GetBucketNotification', getBucketNotificationConfiguration),
  row('GetBucketOwnershipControls', 'GET', 'bucket', ['ownershipControls'], 's3:GetBucketOwnershipControls', getBucketOwnershipControls),
  row('GetBucketPolicy', 'GET', 'bucket', ['policy'], 's3:GetBucketPolicy', getBucketPolicy),
  row('GetBucketPolicyStatus', 'GET', 'bucket', ['policyStatus'], 's3:GetBucketPolicyStatus', getBucketPolicyStatus),
  row('GetBucketReplication', 'GET', 'bucket', ['replication'], 's3:GetReplicationConfiguration', getBucketReplication),
  row('GetBucketRequestPayment', 'GET', 'bucket', ['requestPayment'], 's3:GetBucketRequestPayment', getBucketRequestPayment),
  row('GetBucketWebsite', 'GET', 'bucket', ['website'], 's3:GetBucketWebsite', getBucketWebsite),
  row('GetPublicAccessBlock', 'GET', 'bucket', ['publicAccessBlock'], 's3:GetBucketPublicAccessBlock', getPublicAccessBlock),
  row('ListBucketAnalyticsConfigurations', 'GET', 'bucket', ['analytics'], 's3:GetAnalyticsConfiguration', listBucketAnalyticsConfigurations, { implementedInputs: ['continuation-token'] }),
  row('ListBucketIntelligentTieringConfigurations', 'GET', 'bucket', ['intelligent-tiering'], 's3:GetIntelligentTieringConfiguration', listBucketIntelligentTieringConfigurations, { implementedInputs: ['continuation-token'] }),
  row('ListBucketInventoryConfigurations', 'GET', 'bucket', ['inventory'], 's3:GetInventoryConfiguration', listBucketInventoryConfigurations, { implementedInputs: ['continuation-token'] }),
  row('ListBucketMetricsConfigurations', 'GET', 'bucket', ['metrics'], 's3:GetMetricsConfiguration', listBucketMetricsConfigurations, { implementedInputs: ['continuation-token'] }),
];

// prettier-ignore
const UNIMPLEMENTED_ROWS: readonly OperationRow[] = [
  unimplemented('CreateBucketMetadataConfiguration', 'POST', 'bucket', ['metadataConfiguration'], 's3:CreateBucketMetadataTableConfiguration'),
  unimplemented('CreateBucketMetadataTableConfiguration', 'POST', 'bucket', ['metadataTable'], 's3:CreateBucketMetadataTableConfiguration'),
  unimplemented('CreateSession', 'GET', 'bucket', ['session'], 's3express:CreateSession'),
  unimplemented('DeleteBucketAnalyticsConfiguration', 'DELETE', 'bucket', ['analytics', 'id'], 's3:PutAnalyticsConfiguration'),
  row('DeleteBucketCors', 'DELETE', 'bucket', ['cors'], 's3:PutBucketCORS', deleteBucketCors),
  unimplemented('DeleteBucketIntelligentTieringConfiguration', 'DELETE', 'bucket', ['intelligent-tiering', 'id'], 's3:PutIntelligentTieringConfiguration'),
  unimplemented('DeleteBucketInventoryConfiguration', 'DELETE', 'bucket', ['inventory', 'id'], 's3:PutInventoryConfiguration'),
  unimplemented('DeleteBucketMetadataConfiguration', 'DELETE', 'bucket', ['metadataConfiguration'], 's3:DeleteBucketMetadataTableConfiguration'),
  unimplemented('DeleteBucketMetadataTableConfiguration', 'DELETE', 'bucket', ['metadataTable'], 's3:DeleteBucketMetadataTableConfiguration'),
  unimplemented('DeleteBucketMetricsConfiguration', 'DELETE', 'bucket', ['metrics', 'id'], 's3:PutMetricsConfiguration'),
  row('DeleteBucketOwnershipControls', 'DELETE', 'bucket', ['ownershipControls'], 's3:PutBucketOwnershipControls', deleteBucketOwnershipControls),
  row('DeleteBucketPolicy', 'DELETE', 'bucket', ['policy'], 's3:DeleteBucketPolicy', deleteBucketPolicy),
  unimplemented('DeleteBucketReplication', 'DELETE', 'bucket', ['replication'], 's3:PutReplicationConfiguration'),
  unimplemented('DeleteBucketWebsite', 'DELETE', 'bucket', ['website'], 's3:DeleteBucketWebsite'),
  unimplemented('DeleteObjectAnnotation', 'DELETE', 'object', ['annotation', 'annotationName'], 's3:DeleteObjectAnnotation'),
  row('DeletePublicAccessBlock', 'DELETE', 'bucket', ['publicAccessBlock'], 's3:PutBucketPublicAccessBlock', deletePublicAccessBlock),
  unimplemented('GetObjectAnnotation', 'GET', 'object', ['annotation', 'annotationName'], 's3:GetObjectAnnotation'),
  unimplemented('GetObjectTorrent', 'GET', 'object', ['torrent'], 's3:GetObjectTorrent'),
  unimplemented('ListObjectAnnotations', 'GET', 'object', ['annotation'], 's3:ListObjectAnnotations'),
  unimplemented('PutBucketAbac', 'PUT', 'bucket', ['abac'], 's3:PutBucketAbac'),
  unimplemented('PutBucketAccelerateConfiguration', 'PUT', 'bucket', ['accelerate'], 's3:PutAccelerateConfiguration'),
  unimplemented('PutBucketAnalyticsConfiguration', 'PUT', 'bucket', ['analytics', 'id'], 's3:PutAnalyticsConfiguration'),
  row('PutBucketCors', 'PUT', 'bucket', ['cors'], 's3:PutBucketCORS', putBucketCors, {
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
  }),
  unimplemented('PutBucketIntelligentTieringConfiguration', 'PUT', 'bucket', ['intelligent-tiering', 'id'], 's3:PutIntelligentTieringConfiguration'),
  unimplemented('PutBucketInventoryConfiguration', 'PUT', 'bucket', ['inventory', 'id'], 's3:PutInventoryConfiguration'),
  unimplemented('PutBucketLogging', 'PUT', 'bucket', ['logging'], 's3:PutBucketLogging'),
  unimplemented('PutBucketMetricsConfiguration', 'PUT', 'bucket', ['metrics', 'id'], 's3:PutMetricsConfiguration'),
  unimplemented('PutBucketNotificationConfiguration', 'PUT', 'bucket', ['notification'], 's3:PutBucketNotification'),
  row('PutBucketOwnershipControls', 'PUT', 'bucket', ['ownershipControls'], 's3:PutBucketOwnershipControls', putBucketOwnershipControls, { body: 'xml', bodyLimitBytes: 64 * KIBIBYTE }),
  row('PutBucketPolicy', 'PUT', 'bucket', ['policy'], 's3:PutBucketPolicy', putBucketPolicy, {
    body: 'xml',
    bodyLimitBytes: BUCKET_POLICY_LIMIT_BYTES,
    implementedInputs: ['x-amz-confirm-remove-self-bucket-access'],
  }),
  unimplemented('PutBucketReplication', 'PUT', 'bucket', ['replication'], 's3:PutReplicationConfiguration'),
  row('PutBucketRequestPayment', 'PUT', 'bucket', ['requestPayment'], 's3:PutBucketRequestPayment', putBucketRequestPayment, { body: 'xml', bodyLimitBytes: 64 * KIBIBYTE }),
  unimplemented('PutBucketWebsite', 'PUT', 'bucket', ['website'], 's3:PutBucketWebsite'),
  unimplemented('PutObjectAnnotation', 'PUT', 'object', ['annotation', 'annotationName'], 's3:PutObjectAnnotation'),
  row('PutPublicAccessBlock', 'PUT', 'bucket', ['publicAccessBlock'], 's3:PutBucketPublicAccessBlock', putPublicAccessBlock, {
    body: 'xml',
    bodyLimitBytes: 64 * KIBIBYTE,
  }),
  unimplemented('RestoreObject', 'POST', 'object', ['restore'], 's3:RestoreObject'),
  unimplemented('SelectObjectContent', 'POST', 'object', ['select', 'select-type=2'], 's3:GetObject'),
  unimplemented('UpdateBucketMetadataAnnotationTableConfiguration', 'PUT', 'bucket', ['metadataAnnotationTable'], 's3:UpdateBucketMetadataAnnotationTableConfiguration'),
  unimplemented('UpdateBucketMetadataInventoryTableConfiguration', 'PUT', 'bucket', ['metadataInventoryTable'], 's3:UpdateBucketMetadataInventoryTableConfiguration'),
  unimplemented('UpdateBucketMetadataJournalTableConfiguration', 'PUT', 'bucket', ['metadataJournalTable'], 's3:UpdateBucketMetadataJournalTableConfiguration'),
  // Not an S3 operation of AWS's model: CORS.
  row('PreflightRequest', 'OPTIONS', 'other', [], 's3:GetBucketCORS', preflightRequest, { authorizes: 'nothing' }),
  // Chosen by its path, which is no bucket's: see match-operation.ts.
  unimplemented('WriteGetObjectResponse', 'POST', 'other', [], 's3-object-lambda:WriteGetObjectResponse', ['x-amz-request-route', 'x-amz-request-token']),
];

const MATCHED_ROWS: readonly OperationRow[] = [
  ...SERVICE_AND_BUCKET_ROWS,
  ...OBJECT_ROWS,
  ...CONFIGURATION_ROWS,
  ...CONFIGURATION_READ_ROWS,
  ...UNIMPLEMENTED_ROWS,
];

function named(name: string): OperationRow {
  return MATCHED_ROWS.find((candidate) => candidate.name === name)!;
}

/**
 * The map of the protocol: every operation of S3, with what chooses it, the action it needs and who does it. Rows that
 * AWS's model has twice under the same request are resolved here: `sameRequestAs` names the one that is matched.
 */
export const OPERATION_TABLE: readonly OperationRow[] = [
  ...MATCHED_ROWS,
  sameRequest('GetBucketLifecycle', named('GetBucketLifecycleConfiguration')),
  sameRequest('GetBucketNotification', named('GetBucketNotificationConfiguration')),
  sameRequest('PutBucketLifecycle', named('PutBucketLifecycleConfiguration')),
  sameRequest('PutBucketNotification', named('PutBucketNotificationConfiguration')),
  sameRequest('ListDirectoryBuckets', named('ListBuckets')),
];

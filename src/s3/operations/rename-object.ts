import { createHash } from 'node:crypto';
import { S3Error } from '../../errors/s3-error.ts';
import type { ObjectRecord } from '../../model/object-record.ts';
import type { S3Services } from '../../service/services.ts';
import { checkRenameConditions, hasRenameConditions } from '../headers/conditions.ts';
import { parseRenameSource } from '../headers/rename-source.ts';
import type { S3Request, S3Response } from '../operation.ts';

const SOURCE_PREFIX = 'x-amz-rename-source-';
const CLIENT_TOKEN = 'x-amz-client-token';
/** What a token stands for: the same with any other of these is another request. */
const TOKEN_INPUTS = [
  'x-amz-rename-source',
  ...['', SOURCE_PREFIX].flatMap((prefix) =>
    ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'].map((name) => prefix + name),
  ),
];

/**
 * Gives an object another key in its bucket, in one step and without moving a byte: everything of it stays, Last-Modified
 * too. AWS has it for directory buckets; here it is for buckets that never had versions (docs/decisions). Beside
 * `s3:PutObject` on the destination the caller needs `s3:GetObject` and `s3:DeleteObject` on the source, and for an object with
 * tags what CopyObject needs for them.
 *
 * @throws S3Error NoSuchBucket | NoSuchKey (the source) | PreconditionFailed | InvalidArgument | InvalidRequest (a key that
 *   ends in a slash, onto itself, under a customer's key) | NotImplemented (versions) | IdempotencyParameterMismatch |
 *   ConditionalRequestConflict
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html
 */
export async function renameObject(request: S3Request, services: S3Services): Promise<S3Response> {
  const { headers, key } = request;
  const sourceKey = parseRenameSource(headers.get('x-amz-rename-source') ?? '');
  const source = { bucket: request.bucket, key: sourceKey };
  await request.authorize('s3:GetObject', source);
  await request.authorize('s3:DeleteObject', source);
  const bucket = await services.buckets.requireBucket(request.bucket);
  if (sourceKey.endsWith('/') || key.endsWith('/')) {
    throw invalidRequest('RenameObject does not support keys that end with the slash (/) delimiter character.');
  }
  if (sourceKey === key) throw invalidRequest('The source and the destination of a rename must be different keys.');
  const hasSourceConditions = hasRenameConditions(headers, SOURCE_PREFIX);
  const hasDestinationConditions = hasRenameConditions(headers, '');
  await services.objects.renameObject({
    bucket,
    sourceKey,
    key,
    checkSource: async (object) => {
      if (hasSourceConditions) checkRenameConditions(headers, SOURCE_PREFIX, object);
      await authorizeTags(request, source, object);
    },
    checkDestination: hasDestinationConditions ? (object) => checkRenameConditions(headers, '', object) : undefined,
    token: readToken(request, sourceKey),
    authorizeKey: (action, keyArn) => request.authorizeKey(action, keyArn),
  });
  return { status: 200 };
}

async function authorizeTags(
  request: S3Request,
  source: { bucket: string; key: string },
  { tags = [] }: ObjectRecord,
): Promise<void> {
  if (tags.length === 0) return;
  await request.authorize('s3:GetObjectTagging', source);
  await request.authorize('s3:PutObjectTagging', request);
}

/** @throws S3Error InvalidArgument */
function readToken({ headers, key }: S3Request, sourceKey: string): { value: string; meaning: Buffer } | undefined {
  const value = headers.get(CLIENT_TOKEN);
  if (value === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,64}$/.test(value)) {
    throw new S3Error('InvalidArgument', { details: { ArgumentName: CLIENT_TOKEN, ArgumentValue: value } });
  }
  const inputs = TOKEN_INPUTS.map((name) => headers.get(name) ?? null);
  const meaning = createHash('sha256')
    .update(JSON.stringify([sourceKey, key, ...inputs]))
    .digest();
  return { value, meaning };
}

function invalidRequest(message: string): S3Error {
  return new S3Error('InvalidRequest', { message });
}

import { S3Error } from '../../errors/s3-error.ts';
import { parseExpectations } from '../../streams/digest-expectations.ts';
import { formBoundary, MultipartForm, type FormField } from '../../streams/multipart-form.ts';
import type { DigestExpectation, RequestBody } from '../../streams/request-body.ts';
import { readTaggingField } from '../xml/tagging-xml.ts';
import type { AuthenticatedRequest } from '../sigv4/authenticated-request.ts';
import type { RequestAuthenticator } from '../sigv4/request-authenticator.ts';
import type { RawRequest } from '../sigv4/raw-request.ts';
import { type FormFields, requireField } from '../sigv4/verify-form.ts';
import { checkPostPolicy, parsePostPolicy, type PostPolicy } from './post-policy.ts';

/** An upload by a browser, as the request that it stands for. */
export interface PostedForm {
  /** The key that is written, the fields as headers, and as query those that say how to answer. */
  readonly authenticated: AuthenticatedRequest;
  /** The file. Its length is known at its end. */
  readonly body: RequestBody;
  /** Once it is answered, however: what was not read of it is not read any more. */
  abandon(): Promise<void>;
}

const CONTENT_FIELDS = new Set([
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-md5',
  'content-type',
  'expires',
]);
const RENAMED_FIELDS = new Map([
  ['acl', 'x-amz-acl'],
  ['x-amz-checksum-algorithm', 'x-amz-sdk-checksum-algorithm'],
]);
/** Of the signature. The date stays: conditions ask how old a signature is. */
const SIGNATURE_FIELDS = new Set(['x-amz-algorithm', 'x-amz-credential', 'x-amz-security-token', 'x-amz-signature']);
const ANSWER_FIELDS = ['success_action_redirect', 'redirect', 'success_action_status'];
/** What a request says of itself, at which conditions look. */
const KEPT_HEADERS = ['host', 'origin', 'referer', 'user-agent'];
const FILE_NAME = '${filename}';
const MAXIMUM_KEY_BYTES = 1024;

/**
 * Reads a form up to its file, finds out who signed it, and holds it to its policy. The request's own `x-amz-*` headers
 * are covered by nothing and refused.
 *
 * @throws S3Error PreconditionFailed (no form) | MalformedPOSTRequest | MaxPostPreDataLengthExceeded | InvalidArgument |
 *   InvalidPolicyDocument | AccessDenied | KeyTooLongError and those of the authenticator
 */
export async function openPostForm(
  request: { raw: RawRequest; body: AsyncIterable<Buffer>; nowMs: number },
  authenticator: Pick<RequestAuthenticator, 'authenticatePostForm'>,
): Promise<PostedForm> {
  const { raw, body, nowMs } = request;
  const boundary = formBoundary(raw.headers.get('content-type'));
  if (boundary === undefined) {
    throw new S3Error('PreconditionFailed', {
      details: { Condition: 'Bucket POST must be of the enclosure-type multipart/form-data' },
    });
  }
  refuseUncoveredHeaders(raw);
  const form = new MultipartForm(body, boundary);
  try {
    const { fields: sent, fileName } = await form.readHead();
    const fields = uniqueFields(sent);
    const key = requireField(fields, 'key', 'key').replaceAll(FILE_NAME, () => lastName(fileName));
    if (key === '') throw invalid('key', '', 'User key must have a length greater than 0.');
    const keyBytes = Buffer.byteLength(key);
    if (keyBytes > MAXIMUM_KEY_BYTES) {
      throw new S3Error('KeyTooLongError', { details: { Size: keyBytes, MaxSizeAllowed: MAXIMUM_KEY_BYTES } });
    }
    const { principal, signatureKind } = authenticator.authenticatePostForm(raw, fields, nowMs);
    const policy = signatureKind === 'none' ? undefined : parsePostPolicy(fields.get('policy')!);
    if (policy !== undefined) checkPostPolicy(policy, { fields, bucket: raw.bucket, key, nowMs });
    const bucketField = fields.get('bucket');
    if (bucketField !== undefined && bucketField !== raw.bucket) {
      throw new S3Error('AccessDenied', { message: 'The field bucket names another bucket than the request.' });
    }
    const headers = headersOf(raw, fields);
    const authenticated: AuthenticatedRequest = {
      raw: { ...raw, key },
      principal,
      signatureKind,
      isSigned: signatureKind !== 'none',
      headers,
      query: new Map(ANSWER_FIELDS.filter((name) => fields.has(name)).map((name) => [name, fields.get(name)!])),
      payload: { kind: 'unsigned' },
    };
    const file = new PostedFile(form, expectationsOf(headers), policy?.sizeRange);
    return { authenticated, body: file, abandon: () => form.abandon() };
  } catch (error) {
    await form.abandon();
    throw error;
  }
}

function refuseUncoveredHeaders({ headers }: RawRequest): void {
  const names = [...headers.keys()].filter((name) => name.startsWith('x-amz-'));
  if (names.length === 0) return;
  throw new S3Error('AccessDenied', {
    message: 'There were headers present in the request which were not signed',
    details: { HeadersNotSigned: names.sort().join(', ') },
  });
}

/** By lower-case name. */
function uniqueFields(sent: readonly FormField[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (const { name, value } of sent) {
    const lower = name.toLowerCase();
    if (fields.has(lower)) throw invalid(name, value, `The form has the field ${name} more than once.`);
    fields.set(lower, value);
  }
  return fields;
}

/** Browsers may send a path: only what follows the last slash or backslash is a name. */
function lastName(fileName: string): string {
  return fileName.slice(Math.max(fileName.lastIndexOf('/'), fileName.lastIndexOf('\\')) + 1);
}

/** One character per byte, as headers come. */
function headersOf(raw: RawRequest, fields: FormFields): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const name of KEPT_HEADERS) {
    const value = raw.headers.get(name);
    if (value !== undefined) headers.set(name, value);
  }
  for (const [name, value] of fields) {
    if (SIGNATURE_FIELDS.has(name)) continue;
    const header = RENAMED_FIELDS.get(name) ?? name;
    if (!header.startsWith('x-amz-') && !CONTENT_FIELDS.has(header)) continue;
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(header)) throw invalid(name, value, 'The field is no name of a header.');
    // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
    if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) throw invalid(name, value, 'The field is no header.');
    headers.set(header, Buffer.from(value, 'utf8').toString('latin1'));
  }
  const tagging = fields.get('tagging');
  if (tagging !== undefined) {
    if (headers.has('x-amz-tagging')) throw invalid('tagging', tagging, 'Tags are given twice.');
    const pairs = readTaggingField(tagging).map(
      ({ key, value }) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`,
    );
    headers.set('x-amz-tagging', pairs.join('&'));
  }
  return headers;
}

function expectationsOf(headers: ReadonlyMap<string, string>): readonly DigestExpectation[] {
  return parseExpectations({
    headers,
    payload: { kind: 'unsigned' },
    checksumHeadersDescribeBody: true,
    trailer: () => undefined,
  }).expectations;
}

/** The file of a form. Too many bytes fail it as they come, too few at its end: before anything names them. */
class PostedFile implements RequestBody {
  readonly lengthBytes = undefined;
  readonly tellsItsEnd = true;
  readonly expectations: readonly DigestExpectation[];
  readonly #form: MultipartForm;
  readonly #range: PostPolicy['sizeRange'];

  constructor(form: MultipartForm, expectations: readonly DigestExpectation[], range: PostPolicy['sizeRange']) {
    this.#form = form;
    this.expectations = expectations;
    this.#range = range;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    const { minimumBytes, maximumBytes } = this.#range ?? { minimumBytes: 0, maximumBytes: Number.MAX_SAFE_INTEGER };
    let sizeBytes = 0;
    for await (const piece of this.#form.file()) {
      sizeBytes += piece.length;
      if (sizeBytes > maximumBytes) {
        throw new S3Error('EntityTooLarge', { details: { ProposedSize: sizeBytes, MaxSizeAllowed: maximumBytes } });
      }
      yield piece;
    }
    if (sizeBytes < minimumBytes) {
      throw new S3Error('EntityTooSmall', { details: { ProposedSize: sizeBytes, MinSizeAllowed: minimumBytes } });
    }
  }
}

function invalid(name: string, value: string, message: string): S3Error {
  return new S3Error('InvalidArgument', { message, details: { ArgumentName: name, ArgumentValue: value } });
}

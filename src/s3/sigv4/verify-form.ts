import { createHmac } from 'node:crypto';
import type { Principal } from '../../access/principal.ts';
import { S3Error } from '../../errors/s3-error.ts';
import { equalSignatures } from './equal-signatures.ts';
import { ALGORITHM, parseCredential } from './parse-authorization.ts';
import { signatureMismatch } from './signature-mismatch.ts';
import { parseBasicTimestamp } from './timestamp.ts';
import type { VerificationContext } from './verify-header.ts';
import { NOBODY, refuseExpired, unknownAccessKey } from './verify-signature.ts';

/** Fields of a form by lower-case name, each there once. */
export type FormFields = ReadonlyMap<string, string>;

/** Who has signed a form, and how. */
export interface FormSignature {
  readonly principal: Principal;
  readonly signatureKind: 'none' | 'form' | 'form-v2';
}

const V4_FIELDS = ['x-amz-algorithm', 'x-amz-credential', 'x-amz-date', 'x-amz-signature'] as const;
const V2_FIELDS = ['awsaccesskeyid', 'signature'] as const;

export function isSignedForm(fields: FormFields): boolean {
  return V4_FIELDS.some((name) => fields.has(name));
}

export function isSignedFormV2(fields: FormFields): boolean {
  return V2_FIELDS.some((name) => fields.has(name));
}

/**
 * A form whose policy is signed with Signature Version 4. What the policy demands is not looked at here.
 * @throws S3Error InvalidArgument | AccessDenied | InvalidAccessKeyId | SignatureDoesNotMatch | ExpiredToken | InvalidToken
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html
 */
export function verifyForm(fields: FormFields, context: VerificationContext): Principal {
  const policy = requireField(fields, 'policy', 'policy');
  const algorithm = requireField(fields, 'x-amz-algorithm', 'X-Amz-Algorithm');
  const credentialText = requireField(fields, 'x-amz-credential', 'X-Amz-Credential');
  const timestamp = requireField(fields, 'x-amz-date', 'X-Amz-Date');
  const provided = requireField(fields, 'x-amz-signature', 'X-Amz-Signature');
  if (algorithm !== ALGORITHM) {
    throw invalid('X-Amz-Algorithm', algorithm, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  }
  const parsed = parseCredential(credentialText);
  if (parsed === undefined) {
    throw invalid(
      'X-Amz-Credential',
      credentialText,
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  }
  const { accessKeyId, scope } = parsed;
  if (parseBasicTimestamp(timestamp) === undefined || !timestamp.startsWith(scope.date)) {
    throw invalid(
      'X-Amz-Date',
      timestamp,
      'X-Amz-Date must be in the ISO8601 Long Format and of the date of the scope',
    );
  }
  if (scope.service !== 's3') {
    throw invalid('X-Amz-Credential', credentialText, `incorrect service "${scope.service}". It belongs to "s3".`);
  }
  if (scope.region !== context.region) {
    throw invalid(
      'X-Amz-Credential',
      credentialText,
      `the region '${scope.region}' is wrong; expecting '${context.region}'`,
    );
  }
  const credential = context.credentials.find(accessKeyId, context.sessionToken);
  const signingKey = context.signingKeys.get(credential ?? NOBODY, scope);
  const expected = createHmac('sha256', signingKey).update(policy, 'utf8').digest('hex');
  if (equalSignatures(expected, provided) && credential !== undefined) {
    refuseExpired(credential, context.nowMs);
    return credential.principal;
  }
  if (credential === undefined) throw unknownAccessKey(accessKeyId);
  throw mismatch({ accessKeyId, policy, provided });
}

/** The same with Signature Version 2. @throws S3Error InvalidArgument | InvalidAccessKeyId | SignatureDoesNotMatch | ExpiredToken | InvalidToken */
export function verifyFormV2(fields: FormFields, context: VerificationContext): Principal {
  const policy = requireField(fields, 'policy', 'policy');
  const accessKeyId = requireField(fields, 'awsaccesskeyid', 'AWSAccessKeyId');
  const provided = requireField(fields, 'signature', 'Signature');
  const credential = context.credentials.find(accessKeyId, context.sessionToken);
  const secretAccessKey = (credential ?? NOBODY).secretAccessKey;
  const expected = createHmac('sha1', secretAccessKey).update(policy, 'utf8').digest('base64');
  if (equalSignatures(expected, provided) && credential !== undefined) {
    refuseExpired(credential, context.nowMs);
    return credential.principal;
  }
  if (credential === undefined) throw unknownAccessKey(accessKeyId);
  throw mismatch({ accessKeyId, policy, provided });
}

/** @throws S3Error InvalidArgument in the words of S3 */
export function requireField(fields: FormFields, name: string, shownName: string): string {
  const value = fields.get(name);
  if (value !== undefined && value !== '') return value;
  throw invalid(
    shownName,
    '',
    `Bucket POST must contain a field named '${shownName}'.  If it is specified, please check the order of the fields.`,
  );
}

function mismatch(form: { accessKeyId: string; policy: string; provided: string }): S3Error {
  const { accessKeyId, policy, provided } = form;
  const details = signatureMismatch({
    accessKeyId,
    stringToSign: Buffer.from(policy).toString('latin1'),
    provided: Buffer.from(provided).toString('latin1'),
  });
  return new S3Error('SignatureDoesNotMatch', { details, hint: 'The policy of a form.' });
}

function invalid(name: string, value: string, message: string): S3Error {
  return new S3Error('InvalidArgument', { message, details: { ArgumentName: name, ArgumentValue: value } });
}

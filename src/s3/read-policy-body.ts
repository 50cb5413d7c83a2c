import { S3Error } from '../errors/s3-error.ts';
import type { S3Request } from './operation.ts';
import { readVerifiedBody } from './xml/read-xml-body.ts';

/**
 * The JSON document of a policy, as text.
 *
 * @throws S3Error MissingRequestBodyError | MalformedPolicy | MaxMessageLengthExceeded | BadDigest
 */
export async function readPolicyBody(request: S3Request): Promise<string> {
  const bytes = await readVerifiedBody(request);
  if (bytes.length === 0) throw new S3Error('MissingRequestBodyError');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new S3Error('MalformedPolicy', { message: 'This policy contains invalid Json', cause: error });
  }
}

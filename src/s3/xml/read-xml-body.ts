import { digestsOf } from '../../checksums/digest-of.ts';
import { S3Error } from '../../errors/s3-error.ts';
import { readAll } from '../../streams/read-all.ts';
import { verifyDigests } from '../../streams/verify-digests.ts';
import { OPERATION_INPUTS } from '../model/operation-inputs.ts';
import type { S3Request } from '../operation.ts';
import { readXml } from './read-xml.ts';
import type { XmlList, XmlNode, XmlResult, XmlStructure } from './xml-schema.ts';

type BodySchema = XmlStructure<Record<string, XmlNode | XmlList<XmlNode>>>;

/** Elements that AWS's model knows, by operation; made when first asked for. */
const knownElements = new Map<string, ReadonlySet<string>>();

/**
 * The XML body of a request as plain values: read to its bound, compared with every digest the client claimed, then
 * parsed by `schema`. The document element is the one of AWS's model for this operation.
 *
 * @throws S3Error MissingRequestBodyError | MaxMessageLengthExceeded | MalformedXML | NotImplemented | BadDigest |
 *   XAmzContentSHA256Mismatch and what the body itself throws
 */
export async function readXmlBody<S extends BodySchema>(request: S3Request, schema: S): Promise<XmlResult<S>> {
  const body = await readOptionalXmlBody(request, schema);
  if (body === undefined) throw new S3Error('MissingRequestBodyError');
  return body;
}

/** The same where S3 allows an empty body: `undefined`. */
export async function readOptionalXmlBody<S extends BodySchema>(
  request: S3Request,
  schema: S,
): Promise<XmlResult<S> | undefined> {
  const bytes = await readVerifiedBody(request);
  if (bytes.length === 0) return undefined;
  const { name } = request.operation;
  return readXml(bytes, schema, { root: OPERATION_INPUTS[name]!.xmlRoot, known: knownElementsOf(name) });
}

/** The bytes, bounded and compared with what the client claimed. */
export async function readVerifiedBody({ body, operation }: S3Request): Promise<Buffer> {
  const limitBytes = operation.bodyLimitBytes ?? 0;
  if (body.lengthBytes !== undefined && body.lengthBytes > limitBytes) throw tooLong(limitBytes);
  const bytes = await readAll(body, limitBytes);
  if (body.expectations.length > 0) {
    const algorithms = body.expectations.map(({ algorithm }) => algorithm);
    verifyDigests(body.expectations, digestsOf(algorithms, bytes));
  }
  return bytes;
}

function knownElementsOf(operationName: string): ReadonlySet<string> {
  let known = knownElements.get(operationName);
  if (known === undefined) {
    known = new Set(OPERATION_INPUTS[operationName]!.xml);
    knownElements.set(operationName, known);
  }
  return known;
}

function tooLong(limitBytes: number): S3Error {
  return new S3Error('MaxMessageLengthExceeded', { details: { MaxMessageLengthBytes: limitBytes } });
}

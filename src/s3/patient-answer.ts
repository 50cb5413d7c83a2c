import type { DataPiece } from '../data-store/data-store.ts';
import { assert } from '../errors/assert.ts';
import type { Clock } from '../model/clock.ts';
import type { S3Request, S3Response } from './operation.ts';
import { renderError } from './render-error.ts';
import { toS3Error } from './store-error-to-s3.ts';
import { XML_DECLARATION } from './xml/write-xml.ts';

/** Work that is done by then is answered like any other. */
const PATIENCE_MS = 10_000;
const SIGN_OF_LIFE_MS = 10_000;

/**
 * The answer of an operation that may take minutes because it reads or writes gigabytes: clients give a connection up that
 * is silent for a minute. After ten seconds the status 200 and the beginning of the document are sent, then a space every
 * ten seconds, then the document, which is S3's `Error` if the work failed after all. That is what AWS does, and SDKs
 * look for it in the answers of CopyObject, UploadPartCopy and CompleteMultipartUpload only.
 *
 * @param work resolves to an answer whose body is an XML document; goes on when the client goes away
 * @throws what `work` throws within the first ten seconds
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 */
export async function answerPatiently(
  clock: Pick<Clock, 'schedule'>,
  request: S3Request,
  work: Promise<S3Response>,
): Promise<S3Response> {
  const first = await within(clock, PATIENCE_MS, work);
  if (first !== undefined) return first;
  // The iteration reports it; a client that is gone hears nothing.
  work.catch(() => {});
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: patientBody(clock, request, work),
  };
}

async function* patientBody(
  clock: Pick<Clock, 'schedule'>,
  request: S3Request,
  work: Promise<S3Response>,
): AsyncGenerator<DataPiece, void, undefined> {
  const document = work.then(
    ({ body }) => body as string,
    (error: unknown) => errorDocument(request, error),
  );
  yield pieceOf(XML_DECLARATION);
  let finished = await within(clock, SIGN_OF_LIFE_MS, document);
  while (finished === undefined) {
    yield pieceOf(' ');
    finished = await within(clock, SIGN_OF_LIFE_MS, document);
  }
  assert(finished.startsWith(XML_DECLARATION), 'the answer is an XML document');
  yield pieceOf(finished.slice(XML_DECLARATION.length));
}

function errorDocument(request: S3Request, error: unknown): string {
  const s3Error = toS3Error(error);
  request.log.warn({ code: s3Error.code, err: error }, 'failed after its status was sent');
  const { resource, requestId } = request;
  return renderError(s3Error, { method: 'POST', resource, requestId, hostId: requestId }).body!;
}

/** What `work` resolves to, or `undefined` when it takes longer. */
async function within<T>(clock: Pick<Clock, 'schedule'>, delayMs: number, work: Promise<T>): Promise<T | undefined> {
  let cancel = (): void => {};
  const timeout = new Promise<undefined>((resolve) => {
    cancel = clock.schedule(delayMs, () => resolve(undefined));
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    cancel();
  }
}

function pieceOf(content: string): DataPiece {
  return { bytes: Buffer.from(content), release: () => {} };
}

import { type Failure, type PayloadMode } from './job.ts';
import { type KeySpace, keyOf, sizeOf } from './key-space.ts';
import { type Lane, type Operation, type Scope, failureOf, kindNumber } from './operations.ts';
import { UNSIGNED_PAYLOAD, signedHead } from './sign-request.ts';
import { createHash } from 'node:crypto';

interface MultipartOptions {
  space: KeySpace;
  operationId: number;
  partSizeBytes: number;
  payload: PayloadMode;
}

/** One object as a multipart upload, part after part on one connection; signed while it runs, as its UploadId is new. */
export function multipartOperation(scope: Scope, options: MultipartOptions): Operation {
  const sizeBytes = sizeOf(options.space, options.operationId);
  return {
    kind: kindNumber('MULTIPART'),
    operationId: options.operationId,
    sizeBytes,
    run: async (lane) => upload(scope, options, { lane, sizeBytes }),
  };
}

async function upload(
  scope: Scope,
  options: MultipartOptions,
  { lane, sizeBytes }: { lane: Lane; sizeBytes: number },
): Promise<Failure | undefined> {
  const path = `/${scope.bucket}/${keyOf(options.space, options.operationId)}`;
  const created = await lane.connection.send({
    head: signedHead(scope.signer, { method: 'POST', path: `${path}?uploads=`, contentLengthBytes: 0 }),
  });
  const uploadId = /<UploadId>([^<]+)<\/UploadId>/.exec(created.text)?.[1];
  if (created.status !== 200 || uploadId === undefined) return failureOf(created, `POST ${path}?uploads`);
  const query = `uploadId=${encodeURIComponent(uploadId)}`;
  let parts = '';
  for (let from = 0, partNumber = 1; from < sizeBytes; from += options.partSizeBytes, partNumber += 1) {
    const to = Math.min(sizeBytes, from + options.partSizeBytes);
    const head = signedHead(scope.signer, {
      method: 'PUT',
      path: `${path}?partNumber=${partNumber}&${query}`,
      payloadHash:
        options.payload === 'signed' ? scope.pool.sha256(options.operationId, sizeBytes, from, to) : UNSIGNED_PAYLOAD,
      contentLengthBytes: to - from,
    });
    const answer = await lane.connection.send({
      head,
      body: scope.pool.pieces(options.operationId, sizeBytes, from, to),
    });
    const etag = /\r\netag: *([^\r]+)/i.exec(answer.head)?.[1];
    if (answer.status !== 200 || etag === undefined) return failureOf(answer, `PUT ${path} part ${partNumber}`);
    parts += `<Part><PartNumber>${partNumber}</PartNumber><ETag>${etag}</ETag></Part>`;
  }
  const body = Buffer.from(`<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`);
  const head = signedHead(scope.signer, {
    method: 'POST',
    path: `${path}?${query}`,
    payloadHash: createHash('sha256').update(body).digest('hex'),
    contentLengthBytes: body.length,
  });
  const completed = await lane.connection.send({ head, body: [body] });
  // A 200 may carry an error: the status is sent before the work is done.
  const isDone = completed.status === 200 && completed.text.includes('<ETag>');
  return isDone ? undefined : failureOf(completed, `POST ${path}?uploadId`);
}

import { createHmac } from 'node:crypto';
import type { TestCredential } from './signed-client.ts';

export const FORM_BOUNDARY = '----form-boundary-1234567890';

export type FormParts = readonly (readonly [name: string, value: string | Buffer, fileName?: string])[];

/** The body of a form as a browser sends it, parts in the order given. */
export function formBody(parts: FormParts): Buffer {
  const pieces = parts.map(([name, value, fileName]) => {
    const file = fileName === undefined ? '' : `; filename="${fileName}"`;
    const head = `--${FORM_BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), Buffer.from(value), Buffer.from('\r\n')]);
  });
  return Buffer.concat([...pieces, Buffer.from(`--${FORM_BOUNDARY}--\r\n`)]);
}

export const FORM_HEADERS = { 'content-type': `multipart/form-data; boundary=${FORM_BOUNDARY}` };

export interface SignedFormOptions {
  readonly credential: TestCredential;
  readonly conditions: readonly unknown[];
  readonly expiresInMs?: number;
  readonly region?: string;
}

/** `policy` and the fields of Signature Version 4, whose conditions are added. From AWS's description alone. */
export function signForm({
  credential,
  conditions,
  expiresInMs = 600_000,
  region = 'us-east-1',
}: SignedFormOptions): FormParts {
  const now = new Date();
  const timestamp = now.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const scope = `${timestamp.slice(0, 8)}/${region}/s3/aws4_request`;
  const fields = {
    'x-amz-algorithm': 'AWS4-HMAC-SHA256',
    'x-amz-credential': `${credential.accessKeyId}/${scope}`,
    'x-amz-date': timestamp,
  };
  const expiration = new Date(now.getTime() + expiresInMs).toISOString();
  const all = [...conditions, ...Object.entries(fields).map(([name, value]) => ({ [name]: value }))];
  const policy = Buffer.from(JSON.stringify({ expiration, conditions: all })).toString('base64');
  let key: Buffer = Buffer.from(`AWS4${credential.secretAccessKey}`);
  for (const piece of scope.split('/')) key = createHmac('sha256', key).update(piece).digest();
  const signature = createHmac('sha256', key).update(policy).digest('hex');
  return [...Object.entries(fields), ['policy', policy], ['x-amz-signature', signature]];
}

/** The same with Signature Version 2. */
export function signFormV2({ credential, conditions, expiresInMs = 600_000 }: SignedFormOptions): FormParts {
  const expiration = new Date(Date.now() + expiresInMs).toISOString();
  const policy = Buffer.from(JSON.stringify({ expiration, conditions })).toString('base64');
  const signature = createHmac('sha1', credential.secretAccessKey).update(policy).digest('base64');
  return [
    ['AWSAccessKeyId', credential.accessKeyId],
    ['policy', policy],
    ['signature', signature],
  ];
}

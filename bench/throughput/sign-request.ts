import aws4 from 'aws4';

export interface Credential {
  accessKeyId: string;
  secretAccessKey: string;
}

export interface Signer {
  /** `host:port`, as sent in Host. */
  host: string;
  region: string;
  credential: Credential;
}

export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** Request line and headers, ready to be sent, signed with `aws4`: an implementation that knows nothing of the server. */
export function signedHead(
  signer: Signer,
  request: { method: string; path: string; payloadHash?: string; contentLengthBytes?: number },
): string {
  const { method, path, payloadHash = EMPTY_SHA256, contentLengthBytes } = request;
  const headers = { Host: signer.host, 'X-Amz-Content-Sha256': payloadHash };
  const signed = aws4.sign({ service: 's3', region: signer.region, method, path, headers }, signer.credential);
  let head = `${method} ${signed.path ?? path} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(signed.headers ?? {})) head += `${name}: ${String(value)}\r\n`;
  if (contentLengthBytes !== undefined) head += `Content-Length: ${contentLengthBytes}\r\n`;
  return `${head}\r\n`;
}

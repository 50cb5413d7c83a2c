import { request as httpRequest } from 'node:http';
import aws4 from 'aws4';
import type { TestServer } from './server-process.ts';
import { form } from './query-test-server.ts';

export interface Key {
  accessKeyId: string;
  secretAccessKey: string;
}

/** One of IAM's or STS's operations, signed; resolves with the body, or the code of the error. */
export function callIam(
  server: TestServer,
  action: string,
  parameters: Readonly<Record<string, string>> = {},
  key: Key = server,
): Promise<string> {
  const { hostname, port } = new URL(server.endpoint);
  const body = form('iam', action, parameters);
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' };
  const options = {
    host: hostname,
    port,
    method: 'POST',
    path: '/',
    headers,
    service: 'iam',
    region: 'us-east-1',
    body,
  };
  const signed = aws4.sign(options, { accessKeyId: key.accessKeyId, secretAccessKey: key.secretAccessKey });
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { host: hostname, port, method: 'POST', path: '/', headers: signed.headers as Record<string, string> },
      (response) => {
        let answer = '';
        response.setEncoding('utf8');
        response.on('data', (piece: string) => (answer += piece));
        response.on('error', reject);
        response.on('end', () => resolve(/<Code>(.*?)<\/Code>/.exec(answer)?.[1] ?? answer));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

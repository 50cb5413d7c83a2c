import { HttpConnection } from './http-connection.ts';
import type { ServerUnderTest } from './server-under-test.ts';
import { signedHead } from './sign-request.ts';

/** @throws with the server's answer when it is not 200. */
export async function makeBucket(server: ServerUnderTest, bucket: string): Promise<void> {
  const connection = new HttpConnection(server.address, 16 * 1024);
  const head = signedHead(server.signer, { method: 'PUT', path: `/${bucket}`, contentLengthBytes: 0 });
  const answer = await connection.send({ head });
  connection.close();
  if (answer.status !== 200) throw new Error(`${server.name} made no bucket: ${answer.status} ${answer.text}`);
}

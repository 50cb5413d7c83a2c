import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerUnderTest } from './server-under-test.ts';
import { UNSIGNED_PAYLOAD, signedHead } from './sign-request.ts';

const BODY_BYTES = 1024 * 1024 * 1024;
/** Each client sends one piece in each round. */
const PIECE_BYTES = 64 * 1024;
const ROUND_MS = 250;

/**
 * Holds `clientCount` uploads of 1 GiB open for `seconds`, each at 256 KiB/s (or as slow as the server reads), then breaks
 * them off. Returns how many bytes left the clients and which uploads ended before.
 */
export async function holdUploads(
  server: ServerUnderTest,
  { bucket, clientCount, seconds }: { bucket: string; clientCount: number; seconds: number },
): Promise<{ sentBytes: number; endedEarly: [label: string, count: number][] }> {
  const endedEarly = new Map<string, number>();
  const piece = Buffer.alloc(PIECE_BYTES, 7);
  let sentBytes = 0;
  let isOver = false;
  const clients = Array.from({ length: clientCount }, (_, index) => {
    const socket = connect(server.address);
    const count = (label: string): void => {
      if (!isOver) endedEarly.set(label, (endedEarly.get(label) ?? 0) + 1);
    };
    socket.on('data', (bytes) => count(bytes.toString('latin1').split('\r\n')[0] ?? ''));
    socket.on('error', (error) => count(error.message));
    socket.write(
      signedHead(server.signer, {
        method: 'PUT',
        path: `/${bucket}/slow/${index}`,
        payloadHash: UNSIGNED_PAYLOAD,
        contentLengthBytes: BODY_BYTES,
      }),
    );
    return socket;
  });
  const endsAt = performance.now() + seconds * 1000;
  while (performance.now() < endsAt) {
    for (const socket of clients) {
      if (socket.destroyed || socket.writableLength > PIECE_BYTES) continue;
      socket.write(piece);
      sentBytes += PIECE_BYTES;
    }
    await delay(ROUND_MS);
  }
  isOver = true;
  for (const socket of clients) socket.destroy();
  return { sentBytes, endedEarly: [...endedEarly] };
}

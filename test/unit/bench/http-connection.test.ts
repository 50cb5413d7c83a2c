import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { HttpConnection } from '../../../bench/throughput/http-connection.ts';

let server: Server | undefined;
let sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await new Promise((resolve) => server?.close(resolve));
});

/** A server that answers every request with what `answer` writes. */
async function serve(answer: (socket: Socket) => void): Promise<HttpConnection> {
  const listening = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => answer(socket));
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return new HttpConnection({ host: '127.0.0.1', port: (listening.address() as AddressInfo).port }, 64);
}

const REQUEST = { head: 'GET / HTTP/1.1\r\n\r\n' };

/** Writes byte by byte, so that every boundary falls between two reads. */
function drip(socket: Socket, text: string): void {
  socket.setNoDelay();
  let at = 0;
  const next = (): void => {
    if (at >= text.length || socket.destroyed) return;
    socket.write(text.slice(at, at + 1));
    at += 1;
    setImmediate(next);
  };
  next();
}

test.each([
  ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
  ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n'],
  ['a 100 before it', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello'],
])('an answer with %s is read, at once and byte by byte', async (_, answer) => {
  let isDripping = false;
  const connection = await serve((socket) => (isDripping ? drip(socket, answer) : socket.write(answer)));
  expect((await connection.send(REQUEST)).text).toBe('hello');
  isDripping = true;
  const { status, text } = await connection.send(REQUEST);
  expect([status, text]).toEqual([200, 'hello']);
  connection.close();
});

test('an answer to HEAD has no body, whatever its length says', async () => {
  const connection = await serve((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'));
  expect((await connection.send({ ...REQUEST, isHead: true })).status).toBe(200);
  expect((await connection.send({ ...REQUEST, isHead: true })).status).toBe(200);
  connection.close();
});

test('a body without length ends with the connection, and the next request opens another', async () => {
  const connection = await serve((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nhello'));
  expect((await connection.send(REQUEST)).text).toBe('hello');
  expect((await connection.send(REQUEST)).text).toBe('hello');
});

test.each([
  ['in the headers', 'HTTP/1.1 200 OK\r\nContent-'],
  ['in the body', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel'],
  ['in a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel'],
])('a connection that ends %s fails the request', async (_, answer) => {
  const connection = await serve((socket) => socket.end(answer));
  await expect(connection.send(REQUEST)).rejects.toThrow('connection closed');
});

test.each([
  ['what is not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['a chunk size that is no number', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
])('%s fails the request', async (_, answer) => {
  const connection = await serve((socket) => socket.write(answer));
  await expect(connection.send(REQUEST)).rejects.toThrow('that is no');
  connection.close();
});

import { randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeSelfSignedCertificate } from '../../../src/cli/self-signed-certificate.ts';
import { sendBuffer } from '../../../src/http/send-buffer.ts';
import { TlsCertificates, type CertificatePair } from '../../../src/http/tls-certificates.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { RecordingLog } from '../../support/recording-log.ts';
import { eventually, open } from './fixtures.ts';

let folder: string;
let log: RecordingLog;
let clock: ManualClock;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'));
  log = new RecordingLog();
  clock = new ManualClock();
});

afterEach(() => rmSync(folder, { recursive: true }));

/** A self-signed pair for a DNS name, written over what was there. */
function makePair(name: string, dnsName: string): CertificatePair {
  const pair = { certificateFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
  const fresh = { certificateFile: `${pair.certificateFile}.new`, keyFile: `${pair.keyFile}.new` };
  const { certificatePem, keyPem } = makeSelfSignedCertificate({
    hosts: [dnsName],
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 86_400_000),
    serialNumber: randomBytes(16),
  });
  writeFileSync(fresh.keyFile, keyPem);
  writeFileSync(fresh.certificateFile, certificatePem);
  renameSync(fresh.keyFile, pair.keyFile);
  renameSync(fresh.certificateFile, pair.certificateFile);
  return pair;
}

async function handshake(port: number, servername?: string): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...(servername ? { servername } : {}) });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

async function nameServed(port: number, servername?: string): Promise<unknown> {
  const socket = await handshake(port, servername);
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return subject.CN;
}

async function openTls(pairs: CertificatePair[]) {
  const certificates = await TlsCertificates.load({ pairs, log, clock });
  const opened = await open(
    (exchange) => sendBuffer(exchange, { status: 200, headers: {}, body: String(exchange.isSecure) }),
    { tls: certificates },
  );
  return { certificates, port: opened.endpoint.port, listener: opened.listener };
}

describe('TlsCertificates', () => {
  it('serves the certificate of the name asked for, and the first one otherwise', async () => {
    const { port, certificates } = await openTls([makePair('a', 'a.test'), makePair('b', '*.b.test')]);
    expect(await nameServed(port, 'a.test')).toBe('a.test');
    expect(await nameServed(port, 'bucket.b.test')).toBe('*.b.test');
    expect(await nameServed(port, 'c.test')).toBe('a.test');
    expect(await nameServed(port)).toBe('a.test');
    certificates.stop();
  });

  it('takes changed files by itself, without dropping a connection, also for clients without SNI', async () => {
    const { port, certificates, listener } = await openTls([makePair('a', 'old.test')]);
    const standing = await handshake(port, 'old.test');
    makePair('a', 'new.test');
    await clock.advance(6_000);
    await eventually(() => log.lines.some(({ message }) => message === 'TLS certificates reloaded'));
    expect([await nameServed(port, 'x.test'), await nameServed(port)]).toEqual(['new.test', 'new.test']);
    const answer = new Promise<string>((resolve) => standing.on('data', (data) => resolve(data.toString())));
    standing.write('GET /b HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await answer).toMatch(/^HTTP\/1.1 200 OK[\s\S]*true$/);
    await listener.close({ boundMs: 60_000 });
    certificates.stop();
  });

  it('keeps the old pair when the new one is broken or the key belongs to another', async () => {
    const pair = makePair('a', 'a.test');
    const { port, certificates } = await openTls([pair]);
    writeFileSync(pair.certificateFile, 'not a certificate');
    expect(await certificates.reload()).toBe(false);
    const other = makePair('other', 'other.test');
    renameSync(other.certificateFile, pair.certificateFile);
    expect(await certificates.reload()).toBe(false);
    rmSync(pair.keyFile);
    await clock.advance(6_000);
    expect(await nameServed(port, 'a.test')).toBe('a.test');
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(2);
    certificates.stop();
  });

  it('names the files of a pair that cannot be used', async () => {
    const pair = makePair('a', 'a.test');
    writeFileSync(pair.keyFile, 'not a key');
    await expect(TlsCertificates.load({ pairs: [pair], log, clock })).rejects.toThrow(pair.keyFile);
    const missing = { certificateFile: '/nowhere/cert.pem', keyFile: '/nowhere/key.pem' };
    await expect(TlsCertificates.load({ pairs: [missing], log, clock })).rejects.toThrow(
      /cannot use \/nowhere\/cert.pem with \/nowhere\/key.pem/,
    );
  });

  it('a client that never finishes its handshake does not hold up the end', async () => {
    const { listener, certificates } = await openTls([makePair('a', 'a.test')]);
    const { connect: connectTcp } = await import('node:net');
    const socket = connectTcp(listener.addresses[0]!.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    await listener.close({ boundMs: 100 });
    socket.destroy();
    certificates.stop();
  });
});

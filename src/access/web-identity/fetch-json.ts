import type { X509Certificate } from 'node:crypto';
import { lookup as resolve, type LookupAddress } from 'node:dns';
import { type IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity, type TLSSocket } from 'node:tls';
import { classifyAddress } from './address-class.ts';

export interface FetchOptions {
  /** Loopback and private addresses are allowed, too. */
  readonly allowsPrivate: boolean;
  /** SHA-1 of certificates, lower-case hex: one in the chain of an issuer's makes it good without a known authority. */
  readonly thumbprints: readonly string[];
  readonly nowMs: number;
  /** Default: the system's. @internal for tests of what a resolver can do */
  readonly resolver?: Resolver;
}

export type Resolver = (
  host: string,
  options: { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

const TIMEOUT_MS = 5000;
const LARGEST_BYTES = 256 * 1024;
const LONGEST_CHAIN = 6;

/**
 * A JSON document from an address that somebody else has chosen. The addresses of the name are looked at when the
 * connection is made, and it is made to one of those, so that a name which is resolved twice changes nothing. No redirect
 * is followed, no proxy is used, nothing but https is spoken, and neither time nor size is unbounded.
 *
 * @throws Error which says what was wrong; it tells nothing of what was answered
 */
export async function fetchJson(url: string, options: FetchOptions): Promise<unknown> {
  const { protocol, hostname, username, password } = new URL(url);
  if (protocol !== 'https:') throw new Error('only https is spoken');
  if (username !== '' || password !== '') throw new Error('the URL has credentials in it');
  const literal = hostname.replace(/^\[|\]$/g, '');
  // A host that is an address is never resolved.
  if (isIP(literal) !== 0) refuseAddresses([literal], options);
  return JSON.parse(await get(url, literal, options)) as unknown;
}

function get(url: string, host: string, options: FetchOptions): Promise<string> {
  return new Promise((resolveBody, reject) => {
    const sent = request(url, {
      agent: false,
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      lookup: (name, _options, callback) => {
        (options.resolver ?? resolve)(name, { all: true }, (error, addresses) => {
          if (error !== null) return callback(error, []);
          try {
            const texts = addresses.map(({ address }) => address);
            refuseAddresses(texts, options);
            callback(null, addresses);
          } catch (refusal) {
            callback(refusal as Error, []);
          }
        });
      },
      // Looked at below: a certificate without a known authority may be one that was registered.
      rejectUnauthorized: false,
    });
    sent.on('error', reject);
    sent.on('socket', (socket: TLSSocket) => {
      // Later the certificate may be gone with the connection. Nothing of an answer is read before.
      socket.once('secureConnect', () => {
        try {
          refuseUntrusted(socket, host, options);
          sent.on('response', (response) => readBody(response, resolveBody, reject));
        } catch (error) {
          sent.destroy(error as Error);
        }
      });
    });
    sent.end();
  });
}

function readBody(response: IncomingMessage, done: (body: string) => void, failed: (error: Error) => void): void {
  if (response.statusCode !== 200) {
    response.destroy(new Error(`the answer was ${response.statusCode}`));
    failed(new Error(`the answer was ${response.statusCode}`));
    return;
  }
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  response.on('data', (piece: Buffer) => {
    sizeBytes += piece.length;
    if (sizeBytes > LARGEST_BYTES) response.destroy(new Error('the answer is too large'));
    else pieces.push(piece);
  });
  response.on('error', failed);
  response.on('end', () => done(Buffer.concat(pieces).toString('utf8')));
}

/** @throws Error when one of them is where no request may go: a name of several addresses is refused whole */
function refuseAddresses(addresses: readonly string[], { allowsPrivate }: FetchOptions): void {
  if (addresses.length === 0) throw new Error('the name has no address');
  for (const address of addresses) {
    const kind = classifyAddress(address);
    if (kind === 'public' || (kind === 'private' && allowsPrivate)) continue;
    throw new Error('the address is not one that issuers may have');
  }
}

/** @throws Error unless a known authority, or a registered certificate, stands for this host */
function refuseUntrusted(socket: TLSSocket, host: string, { thumbprints, nowMs }: FetchOptions): void {
  if (socket.authorized) return;
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) throw new Error('the issuer has no certificate');
  const wrongHost = checkServerIdentity(host, leaf.toLegacyObject());
  if (wrongHost !== undefined) throw wrongHost;
  if (!chainOf(leaf, nowMs).some((each) => thumbprints.includes(thumbprintOf(each)))) {
    throw new Error(`the certificate is not trusted: ${String(socket.authorizationError)}`);
  }
}

function thumbprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint.replaceAll(':', '').toLowerCase();
}

/** From the server's own upwards, as far as each is really signed by the next and none has run out. */
function chainOf(leaf: X509Certificate, nowMs: number): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let at = leaf; chain.length < LONGEST_CHAIN;) {
    if (Date.parse(at.validFrom) > nowMs || Date.parse(at.validTo) < nowMs) break;
    chain.push(at);
    const issuer: X509Certificate | undefined = at.issuerCertificate;
    if (issuer === undefined || !issuer.ca || issuer.fingerprint256 === at.fingerprint256) break;
    if (!at.checkIssued(issuer) || !at.verify(issuer.publicKey)) break;
    at = issuer;
  }
  return chain;
}

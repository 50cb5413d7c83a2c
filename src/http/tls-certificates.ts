import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Clock } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';

export interface CertificatePair {
  /** PEM: the certificate, then those of its issuers. */
  readonly certificateFile: string;
  /** PEM, not encrypted. */
  readonly keyFile: string;
}

interface LoadedPair {
  readonly certificate: X509Certificate;
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly context: SecureContext;
}

const POLL_INTERVAL_MS = 5_000;

/**
 * Certificates of a listener, chosen by the name the client asks for (SNI); the first pair serves clients that name
 * none or one that no certificate covers. Files are looked at every few seconds and on `reload`; connections that stand
 * keep theirs. A set with anything wrong in it is not taken: the old one stays.
 */
export class TlsCertificates {
  readonly #pairs: readonly CertificatePair[];
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #listeners: ((first: { cert: Buffer; key: Buffer }) => void)[] = [];
  #loaded: readonly LoadedPair[];
  #fingerprint: string;
  #cancelPoll: (() => void) | undefined;
  #isStopped = false;

  private constructor(
    options: { pairs: readonly CertificatePair[]; log: Log; clock: Clock },
    loaded: readonly LoadedPair[],
    fingerprint: string,
  ) {
    this.#pairs = options.pairs;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#loaded = loaded;
    this.#fingerprint = fingerprint;
    this.#schedulePoll();
  }

  /** @throws Error with the file's name when a pair cannot be used */
  static async load(options: { pairs: readonly CertificatePair[]; log: Log; clock: Clock }): Promise<TlsCertificates> {
    const loaded = await loadPairs(options.pairs);
    return new TlsCertificates(options, loaded, await fingerprintOf(options.pairs));
  }

  /** For servers made now: what clients without SNI get. */
  get first(): { cert: Buffer; key: Buffer } {
    const { cert, key } = this.#loaded[0]!;
    return { cert, key };
  }

  contextFor(serverName: string): SecureContext {
    const named = this.#loaded.find(({ certificate }) => certificate.checkHost(serverName) !== undefined);
    return (named ?? this.#loaded[0]!).context;
  }

  /** Called after each change with the pair for clients without SNI. */
  onChange(listener: (first: { cert: Buffer; key: Buffer }) => void): void {
    this.#listeners.push(listener);
  }

  /** Reads all files again. Returns false, with the reason in the log, when the old set stays. */
  async reload(): Promise<boolean> {
    try {
      const fingerprint = await fingerprintOf(this.#pairs);
      this.#loaded = await loadPairs(this.#pairs);
      this.#fingerprint = fingerprint;
    } catch (error) {
      this.#log.error({ err: error }, 'TLS certificates were not reloaded; the old ones stay in use');
      return false;
    }
    for (const listener of this.#listeners) listener(this.first);
    this.#log.info({ certificates: this.#loaded.length }, 'TLS certificates reloaded');
    return true;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelPoll?.();
  }

  #schedulePoll(): void {
    if (this.#isStopped) return;
    this.#cancelPoll = this.#clock.schedule(POLL_INTERVAL_MS, () => {
      void this.#poll().finally(() => this.#schedulePoll());
    });
  }

  async #poll(): Promise<void> {
    let fingerprint: string;
    try {
      fingerprint = await fingerprintOf(this.#pairs);
    } catch (error) {
      this.#log.warn({ err: error }, 'TLS certificate files cannot be looked at');
      return;
    }
    if (fingerprint === this.#fingerprint) return;
    // also when the reload fails: half a pair is reported once, not every few seconds
    this.#fingerprint = fingerprint;
    await this.reload();
  }
}

/** Changes when any file is written, replaced or switched by a symbolic link. */
async function fingerprintOf(pairs: readonly CertificatePair[]): Promise<string> {
  const files = pairs.flatMap(({ certificateFile, keyFile }) => [certificateFile, keyFile]);
  const stats = await Promise.all(files.map((file) => stat(file)));
  return stats.map(({ dev, ino, size, mtimeMs }) => `${dev}:${ino}:${size}:${mtimeMs}`).join(' ');
}

async function loadPairs(pairs: readonly CertificatePair[]): Promise<LoadedPair[]> {
  return Promise.all(pairs.map(loadPair));
}

async function loadPair({ certificateFile, keyFile }: CertificatePair): Promise<LoadedPair> {
  try {
    const [cert, key] = await Promise.all([readFile(certificateFile), readFile(keyFile)]);
    const certificate = new X509Certificate(cert);
    if (!certificate.checkPrivateKey(createPrivateKey(key))) {
      throw new Error('the key does not belong to the certificate');
    }
    return { certificate, cert, key, context: createSecureContext({ cert, key }) };
  } catch (error) {
    throw new Error(`cannot use ${certificateFile} with ${keyFile}: ${(error as Error).message}`, { cause: error });
  }
}

import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface TransitKey {
  derived: boolean;
  versions: Buffer[];
}

/**
 * The part of Vault's transit engine that holdfast uses, with Vault's paths, bodies, statuses and error texts: AES-256-GCM
 * under the version that the ciphertext names (`vault:v2:…`), derived keys bound to their context.
 */
export class FakeVault {
  readonly token = 'hvs.test-token';
  readonly keys = new Map<string, TransitKey>();
  /** Requests seen: action and key. */
  readonly asked: string[] = [];
  /** Answered in place of everything else. */
  failWith: { status: number; body: string } | undefined;
  isHanging = false;
  readonly #server: Server = createServer((request, response) => void this.#answer(request, response));

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  createKey(name: string, options: { derived?: boolean } = {}): void {
    this.keys.set(name, { derived: options.derived ?? false, versions: [randomBytes(32)] });
  }

  rotateKey(name: string): void {
    this.keys.get(name)!.versions.push(randomBytes(32));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    if (this.isHanging) return;
    const send = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (this.failWith) {
      response.writeHead(this.failWith.status).end(this.failWith.body);
      return;
    }
    if (request.headers['x-vault-token'] !== this.token) return send(403, { errors: ['permission denied'] });
    const path = /^\/v1\/transit\/(datakey\/plaintext|decrypt)\/(.+)$/.exec(request.url ?? '');
    if (request.method !== 'POST' || path === null) return send(404, { errors: [] });
    const [, action, name] = path as unknown as [string, string, string];
    this.asked.push(`${action} ${name}`);
    const key = this.keys.get(name);
    if (key === undefined) return send(400, { errors: ['encryption key not found'] });
    const body = JSON.parse(text) as { bits?: number; context?: string; ciphertext?: string };
    if (key.derived && body.context === undefined) {
      return send(400, { errors: ["missing 'context' for key derivation; the key was created using a derived key"] });
    }
    if (action === 'decrypt') {
      const plaintext = decrypt(key, body.ciphertext ?? '', body.context);
      if (plaintext === undefined) return send(400, { errors: ['cipher: message authentication failed'] });
      return send(200, { data: { plaintext: plaintext.toString('base64') } });
    }
    const plain = randomBytes((body.bits ?? 256) / 8);
    const data = {
      plaintext: plain.toString('base64'),
      ciphertext: encrypt(key, plain, body.context),
      key_version: key.versions.length,
    };
    send(200, { data });
  }
}

function keyOf({ derived, versions }: TransitKey, version: number, context: string | undefined): Buffer | undefined {
  const material = versions[version - 1];
  if (material === undefined || !derived) return material;
  return createHmac('sha256', material)
    .update(context ?? '')
    .digest();
}

function encrypt(key: TransitKey, plain: Buffer, context: string | undefined): string {
  const version = key.versions.length;
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', keyOf(key, version, context)!, nonce);
  const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return `vault:v${version}:${sealed.toString('base64')}`;
}

function decrypt(key: TransitKey, ciphertext: string, context: string | undefined): Buffer | undefined {
  const match = /^vault:v(\d+):(.+)$/.exec(ciphertext);
  const material = match ? keyOf(key, Number(match[1]), context) : undefined;
  if (match === null || material === undefined) return undefined;
  const sealed = Buffer.from(match[2]!, 'base64');
  const decipher = createDecipheriv('aes-256-gcm', material, sealed.subarray(0, 12));
  decipher.setAuthTag(sealed.subarray(-16));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
  } catch {
    return undefined;
  }
}

import { KEY_BYTES } from '../encryption/data-key.ts';
import { S3Error } from '../errors/s3-error.ts';
import { StoreError } from '../errors/store-error.ts';
import { keyNameOf } from './key-arn.ts';
import { canonicalContext, type EncryptionContext, type GeneratedDataKey, type KeyService } from './key-service.ts';

export interface VaultOptions {
  /** `https://vault:8200` */
  address: string;
  /** Where the transit engine is mounted, `transit`. */
  mount: string;
  token: string;
  /** Empty: none. */
  namespace: string;
  timeoutMs: number;
}

/** Answers of Vault are a few hundred bytes; a longer one is not an answer of Vault. */
const ANSWER_LIMIT_BYTES = 64 * 1024;
const HINT = 'See encryption.vault_address and vault_token; the token needs update on datakey/plaintext and decrypt.';

/**
 * Keys in the transit engine of HashiCorp Vault or OpenBao, by its HTTP interface: `datakey/plaintext` and `decrypt`. The
 * encryption context goes along as `context`: a key with derivation on is bound to it by Vault, and every data key is
 * bound to bucket and object by our own envelope in any case.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/transit
 */
export class VaultKeyService implements KeyService {
  readonly #options: VaultOptions;

  constructor(options: VaultOptions) {
    this.#options = options;
  }

  async generateDataKey({
    keyArn,
    context,
  }: {
    keyArn: string;
    context: EncryptionContext;
  }): Promise<GeneratedDataKey> {
    const answer = await this.#ask('datakey/plaintext', keyArn, { bits: KEY_BYTES * 8, context: encoded(context) });
    const { plaintext, ciphertext } = answer;
    if (typeof ciphertext !== 'string' || !ciphertext.startsWith('vault:v')) throw unavailable('it sent no data key');
    return { plain: keyIn(plaintext), sealed: Buffer.from(ciphertext) };
  }

  async decryptDataKey(request: { keyArn: string; sealed: Buffer; context: EncryptionContext }): Promise<Buffer> {
    const ciphertext = request.sealed.toString();
    const context = encoded(request.context);
    const { plaintext } = await this.#ask('decrypt', request.keyArn, { ciphertext, context });
    return keyIn(plaintext);
  }

  async #ask(action: string, keyArn: string, body: object): Promise<Record<string, unknown>> {
    const { address, mount, namespace, token, timeoutMs } = this.#options;
    const name = encodeURIComponent(keyNameOf(keyArn));
    let status: number;
    let text: string;
    try {
      const response = await fetch(`${address.replace(/\/+$/, '')}/v1/${mount}/${action}/${name}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-vault-token': token,
          ...(namespace === '' ? {} : { 'x-vault-namespace': namespace }),
        },
        body: JSON.stringify(body),
        // A redirect would take the token along.
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      });
      status = response.status;
      text = await readBounded(response);
    } catch (cause) {
      throw unavailable('it does not answer', cause);
    }
    if (status !== 200) throw refusal({ status, text, keyArn });
    return dataOf(text);
  }
}

async function readBounded(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body ?? []) {
    length += piece.length;
    if (length > ANSWER_LIMIT_BYTES) throw new Error('the answer is too long');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function dataOf(text: string): Record<string, unknown> {
  try {
    const { data } = JSON.parse(text) as { data?: Record<string, unknown> };
    if (typeof data === 'object') return data;
  } catch {
    // The answer may hold a key, and a parser's message quotes what it read: neither goes into an error.
  }
  throw unavailable('its answer is not one of Vault');
}

/** A 400 is about this key; everything else about the service. */
function refusal({ status, text, keyArn }: { status: number; text: string; keyArn: string }): Error {
  const reason = reasonIn(text);
  if (status === 404 || (status === 400 && /not found|no existing key/i.test(reason))) {
    return new S3Error('KMS.NotFoundException', { message: `Key '${keyArn}' does not exist` });
  }
  if (status === 400) return new S3Error('KMS.KMSInvalidStateException', { message: `${keyArn}: ${reason}` });
  return unavailable(`it answers ${status} ${reason}`);
}

function reasonIn(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: unknown };
    if (Array.isArray(errors))
      return errors
        .filter((error) => typeof error === 'string')
        .join('; ')
        .slice(0, 300);
  } catch {
    // Not Vault's JSON: a proxy's page says nothing useful.
  }
  return '';
}

function keyIn(base64: unknown): Buffer {
  const key = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : Buffer.alloc(0);
  if (key.length !== KEY_BYTES) throw unavailable('it sent no key of 256 bits');
  return key;
}

function encoded(context: EncryptionContext): string {
  return Buffer.from(canonicalContext(context)).toString('base64');
}

function unavailable(reason: string, cause?: unknown): StoreError {
  return new StoreError('KeysUnavailable', `the key service cannot be used: ${reason}`, { hint: HINT, cause });
}

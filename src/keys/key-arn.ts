import { S3Error } from '../errors/s3-error.ts';

const KEY_NAME = /^[A-Za-z0-9-]{1,128}$/;
const ARN = /^arn:aws[a-z0-9-]*:kms:([a-z0-9-]*):(\d{12}):(key|alias)\/(.+)$/;
/** What AWS calls the key that S3 uses when none is named. */
const AWS_DEFAULT_ALIAS = 'aws/s3';

export function isKeyName(name: string): boolean {
  return KEY_NAME.test(name);
}

/** The names of keys of one account in one region. */
export class KeyArns {
  readonly #region: string;
  readonly #accountId: string;
  readonly #defaultKey: string;

  constructor(options: { region: string; accountId: string; defaultKey: string }) {
    this.#region = options.region;
    this.#accountId = options.accountId;
    this.#defaultKey = options.defaultKey;
  }

  arnOf(name: string): string {
    return `arn:aws:kms:${this.#region}:${this.#accountId}:key/${name}`;
  }

  /**
   * The ARN of a key as a client names it: key id, key ARN, alias or alias ARN (an alias is the key's id after `alias/`);
   * without a name the default key.
   *
   * @throws S3Error KMS.NotFoundException
   */
  resolve(named: string | undefined): string {
    if (named === undefined || named === '') return this.arnOf(this.#defaultKey);
    const arn = ARN.exec(named);
    if (arn === null) return this.arnOf(this.#nameOf(named.replace(/^alias\//, ''), named));
    const [, region, accountId, , name] = arn as unknown as [string, string, string, string, string];
    if (region !== this.#region) throw notFound(`Invalid arn ${region}`);
    if (accountId !== this.#accountId) throw notFound(`Key '${named}' does not exist`);
    return this.arnOf(this.#nameOf(name, named));
  }

  /** Is it a key of this account? */
  isOwn(keyArn: string): boolean {
    return ARN.exec(keyArn)?.[2] === this.#accountId;
  }

  #nameOf(name: string, named: string): string {
    if (name === AWS_DEFAULT_ALIAS) return this.#defaultKey;
    if (!isKeyName(name)) throw notFound(`Invalid keyId '${named}'`);
    return name;
  }
}

/** The key's own name, of an ARN that `KeyArns` made. */
export function keyNameOf(keyArn: string): string {
  return keyArn.slice(keyArn.lastIndexOf('/') + 1);
}

function notFound(message: string): S3Error {
  return new S3Error('KMS.NotFoundException', { message });
}

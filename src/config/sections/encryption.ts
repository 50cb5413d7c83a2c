import { key } from '../config-key.ts';
import { boolean, duration, oneOf, text } from '../value-types.ts';

export const encryptionSection = {
  byDefault: key({
    type: oneOf('none', 'AES256'),
    default: 'none',
    env: 'HOLDFAST_ENCRYPTION_BY_DEFAULT',
    what: 'Encryption of objects in buckets that have no default of their own, when an upload asks for none.',
    why: 'Encrypted objects need the master key for ever; whoever wants that says so, for a bucket or here.',
  }),
  customerKeysOverHttp: key({
    type: boolean(),
    default: false,
    env: 'HOLDFAST_CUSTOMER_KEYS_OVER_HTTP',
    what: 'Accept SSE-C, whose keys come with each request, on connections without TLS.',
    why: 'A key that crossed a network in the clear is no secret; behind a proxy that ends TLS it may be wanted.',
  }),
  blockCustomerKeys: key({
    type: boolean(),
    default: false,
    env: 'HOLDFAST_BLOCK_CUSTOMER_KEYS',
    what: 'New buckets refuse uploads with SSE-C until PutBucketEncryption allows them.',
    why: 'AWS does so since 2026; programs that use SSE-C would fail without a hint at the reason.',
  }),
  keyService: key({
    type: oneOf('local', 'vault'),
    default: 'local',
    env: 'HOLDFAST_KEY_SERVICE',
    what: 'Where the keys of SSE-KMS live: in this server’s own key ring, or in the transit engine of Vault or OpenBao.',
    why: 'The ring needs nothing else; a key service outside is for those who have one.',
  }),
  defaultKey: key({
    type: text({ describe: '1 to 128 letters, digits or -', pattern: /^[A-Za-z0-9-]{1,128}$/ }),
    default: 'aws-s3',
    env: 'HOLDFAST_DEFAULT_KEY',
    what: 'Name of the key for SSE-KMS when no key is named; the local service makes it when it is first used.',
    why: 'AWS has such a key for every account (aws/s3).',
  }),
  vaultAddress: key({
    type: text({
      describe: 'URL like `https://vault:8200` (or empty)',
      pattern: /^https?:\/\/[^\s]+$/,
      allowEmpty: true,
    }),
    default: '',
    env: 'HOLDFAST_VAULT_ADDRESS',
    what: 'Address of Vault.',
    why: 'There is no sensible guess.',
  }),
  vaultMount: key({
    type: text({ describe: 'path', pattern: /^[A-Za-z0-9_./-]{1,128}$/ }),
    default: 'transit',
    env: 'HOLDFAST_VAULT_MOUNT',
    what: 'Where the transit engine is mounted.',
    why: 'Vault’s own default.',
  }),
  vaultNamespace: key({
    type: text({ describe: 'path (or empty)', pattern: /^[A-Za-z0-9_./-]{1,128}$/, allowEmpty: true }),
    default: '',
    env: 'HOLDFAST_VAULT_NAMESPACE',
    what: 'Namespace of Vault Enterprise.',
    why: 'Most have none.',
  }),
  vaultToken: key({
    type: text({ describe: 'token without spaces (or empty)', pattern: /^[\x21-\x7e]{1,512}$/, allowEmpty: true }),
    default: '',
    env: 'HOLDFAST_VAULT_TOKEN',
    isSecret: true,
    what: 'Token that may update `datakey/plaintext/*` and `decrypt/*` of the transit engine.',
    why: 'A secret, so it has no default.',
  }),
  vaultTimeout: key({
    type: duration({ min: '100 ms', max: '1 min' }),
    default: '5 s',
    env: 'HOLDFAST_VAULT_TIMEOUT',
    what: 'Time in which Vault must answer; then the request gets 503.',
    why: 'Longer than a leader election should be felt by a client.',
  }),
} as const;

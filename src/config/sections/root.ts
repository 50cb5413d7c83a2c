import { key } from '../config-key.ts';
import { path, text } from '../value-types.ts';

const accessKey = text({
  describe: '3 to 128 letters, digits or any of _ . - (or empty)',
  pattern: /^[A-Za-z0-9_.-]{3,128}$/,
  allowEmpty: true,
});
const secretKey = text({
  describe: '16 to 128 printable characters without spaces (or empty)',
  pattern: /^[\x21-\x7e]{16,128}$/,
  allowEmpty: true,
});

export const rootSection = {
  accessKeyId: key({
    type: accessKey,
    default: '',
    env: 'HOLDFAST_ROOT_ACCESS_KEY_ID',
    isSecret: true,
    what: 'Access key id of the root user; wins over the stored one. Set together with the secret.',
    why: 'Empty: the random key made when the disks were formatted.',
  }),
  secretAccessKey: key({
    type: secretKey,
    default: '',
    env: 'HOLDFAST_ROOT_SECRET_ACCESS_KEY',
    isSecret: true,
    what: 'Secret access key of the root user.',
    why: 'There are no default credentials.',
  }),
  secretsFile: key({
    type: path(),
    default: '',
    env: 'HOLDFAST_ROOT_SECRETS_FILE',
    what: 'File with `access_key_id` and `secret_access_key` (TOML), for secrets mounted as files.',
    why: 'Keeps secrets out of the environment.',
  }),
  masterKeyFile: key({
    type: path(),
    default: '',
    env: 'HOLDFAST_MASTER_KEY_FILE',
    what: 'File with the master key (64 hex digits) that seals stored credentials.',
    why: 'Empty: `master.key` in the state directory, made by formatting.',
  }),
  masterKey: key({
    type: text({ describe: '64 hex digits (or empty)', pattern: /^[0-9a-fA-F]{64}$/, allowEmpty: true }),
    default: '',
    env: 'HOLDFAST_MASTER_KEY',
    isSecret: true,
    what: 'The master key itself, instead of a file.',
    why: 'For places where a secret can only be an environment variable.',
  }),
} as const;

import { key } from '../config-key.ts';
import { integer, path, size, text } from '../value-types.ts';

export const auditSection = {
  file: key({
    type: path(),
    default: '',
    env: 'HOLDFAST_AUDIT_FILE',
    what: 'File that gets one JSON line for each request: who did what, whether it was allowed and by which statement. Empty: none.',
    why: 'It tells names of buckets, keys and people; whoever needs it says where it may lie.',
  }),
  fileSize: key({
    type: size({ min: '64 KiB', max: '1 TiB' }),
    default: '100 MiB',
    env: 'HOLDFAST_AUDIT_FILE_SIZE',
    what: 'Size at which the file is put aside as `NAME.1` and a new one begins.',
    why: 'About 200,000 requests; a file that people can still open.',
  }),
  keep: key({
    type: integer({ min: 1, max: 1000 }),
    default: 10,
    env: 'HOLDFAST_AUDIT_KEEP',
    what: 'Files put aside that are kept.',
    why: 'Bounds the space; who must keep all lines takes them from the webhook or before that.',
  }),
  webhook: key({
    type: text({ describe: 'http or https URL (or empty)', pattern: /^https?:\/\/[^\s@]+$/, allowEmpty: true }),
    default: '',
    env: 'HOLDFAST_AUDIT_WEBHOOK',
    what: 'URL to which the same lines are posted in batches (`application/x-ndjson`), again until answered 2xx.',
    why: 'Empty: none. A receiver that is away costs memory for 100,000 lines, then the oldest lines.',
  }),
  webhookToken: key({
    type: text({
      describe: 'printable characters without spaces (or empty)',
      pattern: /^[\x21-\x7e]{1,1024}$/,
      allowEmpty: true,
    }),
    default: '',
    env: 'HOLDFAST_AUDIT_WEBHOOK_TOKEN',
    isSecret: true,
    what: 'Sent to the webhook as a bearer token.',
    why: 'Receivers should not take lines from anybody.',
  }),
} as const;

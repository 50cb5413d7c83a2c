import {
  boolean,
  bucketClass,
  certificateFiles,
  duration,
  erasureCode,
  integer,
  listOf,
  listenAddress,
  oneOf,
  path,
  rate,
  size,
  storageClass,
  text,
  type ValueType,
} from './value-types.ts';

/** One configuration key. The table below is the only place that names it; documentation and flags come from it. */
export interface ConfigKey<T> {
  readonly type: ValueType<T>;
  /** As it would be written in the file. */
  readonly default: string | boolean | number | readonly string[];
  readonly env: string;
  /** `undefined`: a secret, which must not show in a list of processes. */
  readonly flag: string | undefined;
  /** One sentence. */
  readonly what: string;
  /** Why this default. */
  readonly why: string;
  readonly isSecret: boolean;
}

interface KeyOptions<T> {
  type: ValueType<T>;
  default: ConfigKey<T>['default'];
  env: string;
  flag?: string;
  isSecret?: boolean;
  what: string;
  why: string;
}

/** The flag follows from the environment name unless one is given: `HOLDFAST_ADMIN_LISTEN` is `--admin-listen`. */
function key<T>(options: KeyOptions<T>): ConfigKey<T> {
  const isSecret = options.isSecret ?? false;
  const flag =
    options.flag ??
    options.env
      .replace(/^HOLDFAST_/, '')
      .replaceAll('_', '-')
      .toLowerCase();
  return Object.freeze({ ...options, isSecret, flag: isSecret ? undefined : flag });
}

const hostPort = listenAddress();
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

/** Sections are tables of the TOML file; names there are in snake case (`buffer_budget`). */
export const CONFIG_SCHEMA = {
  storage: {
    disks: key({
      type: listOf(text({ describe: 'directory or pattern, like `/mnt/disk{1..6}`', pattern: /^[^\0]+$/ })),
      default: [],
      env: 'HOLDFAST_DISKS',
      what: 'Directories that hold the shards, each on a device of its own; braces and globs expand.',
      why: 'There is no sensible guess; `npm start` uses six directories under `data/` for a first look.',
    }),
    code: key({
      type: erasureCode(),
      default: 'auto',
      env: 'HOLDFAST_CODE',
      what: 'Erasure code of new disks: k data and m parity shards; any m disks may be lost.',
      why: '`auto` follows the number of disks: 1+0, 1+1, 2+1, 2+2 (4), 4+2 (6), 5+3 (8), 8+4 (12), 12+4 (16).',
    }),
    classes: key({
      type: listOf(storageClass()),
      default: [],
      env: 'HOLDFAST_STORAGE_CLASSES',
      flag: 'storage-classes',
      what: 'Storage classes besides STANDARD, each with a code of its own: `NAME=k+m`.',
      why: 'STANDARD has the cluster’s code; REDUCED_REDUNDANCY is always there, by default with one parity shard less (never none where STANDARD has one).',
    }),
    bucketClasses: key({
      type: listOf(bucketClass()),
      default: [],
      env: 'HOLDFAST_BUCKET_CLASSES',
      what: 'Storage class of new objects that name none, by bucket: `PATTERN=CLASS`; the first that matches counts.',
      why: 'Clients rarely name a class; whoever runs the server knows what a bucket is worth. Others are STANDARD.',
    }),
    stateDirectory: key({
      type: path(),
      default: '',
      env: 'HOLDFAST_STATE',
      what: 'Directory for what can be rebuilt (index, lock, socket) and for the master key; none of the disks.',
      why: 'Empty takes `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/holdfast`, else `~/.local/state/holdfast`.',
    }),
    format: key({
      type: oneOf('never', 'if-empty'),
      default: 'never',
      env: 'HOLDFAST_FORMAT',
      what: '`if-empty` lets `serve` format when every disk is empty and the state directory knows no cluster.',
      why: 'A disk that is not mounted looks like an empty one and must not become a new cluster; for containers.',
    }),
    acceptOlderList: key({
      type: boolean(),
      default: false,
      env: 'HOLDFAST_ACCEPT_OLDER_LIST',
      what: 'Start even when the disks that are present know only an older list of disks than the last start did.',
      why: 'They may lack acknowledged writes and bring back what was deleted; for when all newer disks are lost for good.',
    }),
    autoReplace: key({
      type: oneOf('never', 'mounted'),
      default: 'never',
      env: 'HOLDFAST_AUTO_REPLACE',
      what: '`mounted` lets an empty file system that is newly mounted at the path of a missing disk take its place by itself.',
      why: 'A disk that is not mounted looks like an empty one; only a mount point of its own tells them apart.',
    }),
    autoReplaceAfter: key({
      type: duration({ min: '1 s', max: '7 d' }),
      default: '1 min',
      env: 'HOLDFAST_AUTO_REPLACE_AFTER',
      what: 'Time for which the same empty file system must have been there.',
      why: 'Somebody may still be mounting, and the old disk may come back.',
    }),
    allowUnusualFilesystems: key({
      type: boolean(),
      default: false,
      env: 'HOLDFAST_ALLOW_UNUSUAL_FILESYSTEMS',
      what: 'Accept disks on network, FUSE or FAT file systems.',
      why: 'Many of them acknowledge a sync that has not happened.',
    }),
    reserve: key({
      type: size({ min: '16 MiB', max: '1 TiB' }),
      default: '1 GiB',
      env: 'HOLDFAST_RESERVE',
      what: 'Free bytes kept on each disk, refused to object data (at most a tenth of the disk).',
      why: 'Journal, checkpoints, deletes and the collector must work on a full disk.',
    }),
    volumeSize: key({
      type: size({ min: '16 MiB', max: '64 GiB' }),
      default: '1 GiB',
      env: 'HOLDFAST_VOLUME_SIZE',
      what: 'Length of one shard file at which its volume is sealed.',
      why: 'Large enough for few files and long reads, small enough to rewrite one within the reserve.',
    }),
    bufferBudget: key({
      type: size({ min: '32 MiB', max: '64 GiB' }),
      default: '192 MiB',
      env: 'HOLDFAST_BUFFER_BUDGET',
      what: 'Memory for bodies on their way, all requests together; when it is used up sockets are read later.',
      why: 'Keeps the process under 512 MiB with hundreds of uploads.',
    }),
    collectorRate: key({
      type: rate({ min: '64 KiB/s', max: '64 GiB/s' }),
      default: '32 MiB/s',
      env: 'HOLDFAST_COLLECTOR_RATE',
      what: 'Most payload bytes that the collector moves in a second, and again as many that lifecycle rules move into other storage classes.',
      why: 'Returns space steadily without showing in the latency of requests.',
    }),
    healRate: key({
      type: rate({ min: '1 MiB/s', max: '64 GiB/s' }),
      default: '1 GiB/s',
      env: 'HOLDFAST_HEAL_RATE',
      what: 'Most bytes that healing and a census read and write in a second, all disks together.',
      why: 'Until it is healed a second loss costs more; while requests are answered it gives way by itself.',
    }),
    balanceRate: key({
      type: rate({ min: '64 KiB/s', max: '64 GiB/s' }),
      default: '16 MiB/s',
      env: 'HOLDFAST_BALANCE_RATE',
      what: 'Most bytes that are moved between disks in a second only to even out their use.',
      why: 'A new disk fills over hours without showing in the latency of requests; nothing is lost by waiting.',
    }),
    scrubPeriod: key({
      type: duration({ min: '1 h', max: '3650 d' }),
      default: '30 d',
      env: 'HOLDFAST_SCRUB_PERIOD',
      what: 'Time in which every shard and every journal record is read and verified once.',
      why: 'Bits rot unseen; a month keeps the chance small that two such shards meet, and costs little reading.',
    }),
    checkpointSize: key({
      type: size({ min: '1 MiB', max: '1 TiB' }),
      default: '256 MiB',
      env: 'HOLDFAST_CHECKPOINT_SIZE',
      what: 'Journal bytes since the last checkpoint after which a new one is due (or the size of the index, if larger).',
      why: 'Bounds what a start without an index replays, while a checkpoint costs no more than the journal did.',
    }),
    journalReserve: key({
      type: size({ min: '16 MiB', max: '16 GiB' }),
      default: '64 MiB',
      env: 'HOLDFAST_JOURNAL_RESERVE',
      what: 'Journal space written with zeros ahead of its use on each disk, in segments of 16 MiB.',
      why: 'Makes synced appends cheap, and leaves room for thousands of deletes on a disk that another program has filled.',
    }),
    stateReserve: key({
      type: size({ min: '1 MiB', max: '16 GiB' }),
      default: '64 MiB',
      env: 'HOLDFAST_STATE_RESERVE',
      what: 'Bytes really written in the state directory and given back when its file system is full.',
      why: 'The index must be able to record deletes even then.',
    }),
    diskDeadline: key({
      type: duration({ min: '100 ms', max: '10 min' }),
      default: '10 s',
      env: 'HOLDFAST_DISK_DEADLINE',
      what: 'Time one file call may take before its disk is suspect and read around.',
      why: 'Longer than a drive’s own retries, shorter than clients wait.',
    }),
  },
  s3: {
    listen: key({
      type: listOf(hostPort),
      default: ['127.0.0.1:9000', '[::1]:9000'],
      env: 'HOLDFAST_LISTEN',
      what: 'Addresses of the S3 endpoint.',
      why: 'Loopback only: nothing is reachable from outside before you say so.',
    }),
    region: key({
      type: text({ describe: 'region name, like `us-east-1`', pattern: /^[a-z0-9][a-z0-9-]{1,62}$/ }),
      default: 'us-east-1',
      env: 'HOLDFAST_REGION',
      what: 'Region that requests must be signed for and that buckets report.',
      why: 'The one every client falls back to.',
    }),
    domains: key({
      type: listOf(
        text({
          describe: 'domain name',
          pattern: /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/,
        }),
      ),
      default: [],
      env: 'HOLDFAST_DOMAINS',
      what: 'Domains for virtual-hosted requests: `bucket.DOMAIN` addresses the bucket.',
      why: 'Needs wildcard DNS, so path-style (always on) is what works everywhere.',
    }),
    signatureV2: key({
      type: boolean(),
      default: true,
      env: 'HOLDFAST_SIGNATURE_V2',
      what: 'Accept Signature Version 2 in presigned URLs (never in the Authorization header).',
      why: 'boto3 and version 1 of the aws cli still presign with it in us-east-1.',
    }),
    unsignedPayloadOverHttp: key({
      type: boolean(),
      default: true,
      env: 'HOLDFAST_UNSIGNED_PAYLOAD_OVER_HTTP',
      what: 'Accept signed requests whose body is not signed (`UNSIGNED-PAYLOAD`) without TLS.',
      why: 'Behind a proxy that ends TLS every request arrives so; presigned URLs are never affected.',
    }),
    blockPublicAccess: key({
      type: boolean(),
      default: true,
      env: 'HOLDFAST_BLOCK_PUBLIC_ACCESS',
      what: 'New buckets come with all four settings of Block Public Access on.',
      why: 'As on AWS: a public policy is refused until the owner of the bucket takes the blocks away.',
    }),
  },
  tls: {
    certificates: key({
      type: listOf(certificateFiles()),
      default: [],
      env: 'HOLDFAST_TLS_CERTIFICATES',
      what: 'Certificate and key files; chosen by server name, the first is the fallback. With any, S3 speaks HTTPS only.',
      why: 'Plain HTTP on loopback needs none; `holdfast tls self-signed` makes a first pair.',
    }),
  },
  admin: {
    listen: key({
      type: listOf(hostPort),
      default: ['127.0.0.1:9001'],
      env: 'HOLDFAST_ADMIN_LISTEN',
      what: 'Addresses of metrics, health and status; an empty list turns them off (the socket for commands stays).',
      why: 'Beside the S3 port, so that no bucket name can shadow it and a firewall can tell them apart.',
    }),
    allowRemote: key({
      type: boolean(),
      default: false,
      env: 'HOLDFAST_ADMIN_ALLOW_REMOTE',
      what: 'Let the admin listener bind other addresses than loopback.',
      why: 'It asks for no credentials; it reads only, but tells paths, sizes and counts.',
    }),
  },
  lifecycle: {
    day: key({
      type: duration({ min: '1 s', max: '1 d' }),
      default: '1 d',
      env: 'HOLDFAST_LIFECYCLE_DAY',
      what: 'How long the days of lifecycle rules are; anything but `1 d` is a TEST CLOCK by which objects expire early.',
      why: 'Rules that speak of weeks can be tried in minutes. Dates, and the date that `x-amz-expiration` tells, stay those of the calendar.',
    }),
    rate: key({
      type: integer({ min: 1, max: 100_000 }),
      default: 500,
      env: 'HOLDFAST_LIFECYCLE_RATE',
      what: 'Most versions and uploads that lifecycle rules end in a second.',
      why: 'Forty million a day; while requests are answered it gives way by itself.',
    }),
  },
  durability: {
    sync: key({
      type: oneOf('strict', 'relaxed'),
      default: 'strict',
      env: 'HOLDFAST_SYNC',
      what: '`relaxed` answers writes before they are synced: they survive `kill -9` of the server, NOT a power cut or a crash of the system.',
      why: 'Acknowledged means durable. Only for data that can be made again, or where something else keeps the power on.',
    }),
  },
  root: {
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
  },
  limits: {
    connections: key({
      type: integer({ min: 16, max: 65_536 }),
      default: 4096,
      env: 'HOLDFAST_CONNECTIONS',
      what: 'Most open client connections; beyond it new ones are closed.',
      why: 'Each costs memory and a descriptor.',
    }),
    headerSize: key({
      type: size({ min: '4 KiB', max: '64 KiB' }),
      default: '16 KiB',
      env: 'HOLDFAST_HEADER_SIZE',
      what: 'Most bytes of request line and headers together.',
      why: 'S3 allows 8 KB of headers; presigned URLs with session tokens need some more.',
    }),
    headerTimeout: key({
      type: duration({ min: '1 s', max: '5 min' }),
      default: '30 s',
      env: 'HOLDFAST_HEADER_TIMEOUT',
      what: 'Time in which the headers of a request must arrive.',
      why: 'Cuts clients that send one header byte at a time.',
    }),
    keepAlive: key({
      type: duration({ min: '1 s', max: '1 h' }),
      default: '60 s',
      env: 'HOLDFAST_KEEP_ALIVE',
      what: 'Time an idle connection is kept open for the next request.',
      why: 'Longer than SDK connection pools idle between two calls.',
    }),
    minimumRate: key({
      type: rate({ min: '1 B/s', max: '1 GiB/s' }),
      default: '1 KiB/s',
      env: 'HOLDFAST_MINIMUM_RATE',
      what: 'Slowest rate, averaged over the stall time, at which a body may arrive or an answer be read.',
      why: 'A legal 5 GiB upload may take hours, so no total time bounds a request.',
    }),
    stallTimeout: key({
      type: duration({ min: '1 s', max: '10 min' }),
      default: '30 s',
      env: 'HOLDFAST_STALL_TIMEOUT',
      what: 'Time over which the minimum rate is measured.',
      why: 'Rides out a pause of the network or of the client’s disk.',
    }),
    discardSize: key({
      type: size({ min: '0 B', max: '1 GiB' }),
      default: '16 MiB',
      env: 'HOLDFAST_DISCARD_SIZE',
      what: 'After an early error, bytes of the body still read and dropped before the connection closes.',
      why: 'Many clients see a reset instead of the error unless their body is taken.',
    }),
    discardTime: key({
      type: duration({ min: '0 ms', max: '5 min' }),
      default: '10 s',
      env: 'HOLDFAST_DISCARD_TIME',
      what: 'Time for the same.',
      why: 'Bounds what a refused client can hold.',
    }),
    shutdown: key({
      type: duration({ min: '1 s', max: '10 min' }),
      default: '20 s',
      env: 'HOLDFAST_SHUTDOWN',
      what: 'Time from SIGTERM until open requests are cut and the process ends, even with a hung disk.',
      why: 'Below the 30 s after which container runtimes kill.',
    }),
  },
  encryption: {
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
  },
  log: {
    level: key({
      type: oneOf('debug', 'info', 'warn', 'error'),
      default: 'info',
      env: 'HOLDFAST_LOG_LEVEL',
      what: 'Least level that is logged; requests are logged at info.',
      why: 'One line for each request is what most questions need.',
    }),
    format: key({
      type: oneOf('auto', 'json', 'pretty'),
      default: 'auto',
      env: 'HOLDFAST_LOG_FORMAT',
      what: 'JSON lines or text for people; `auto` is text on a terminal.',
      why: 'Machines read logs everywhere but on a terminal.',
    }),
  },
} as const;

type Schema = typeof CONFIG_SCHEMA;
type ValueOf<K> = K extends ConfigKey<infer T> ? T : never;

/** Validated, defaults filled in, deeply frozen. Sizes in bytes, times in milliseconds, rates in bytes per second. */
export type Config = {
  readonly [S in keyof Schema]: { readonly [K in keyof Schema[S]]: ValueOf<Schema[S][K]> };
};
export type LogConfig = Config['log'];

export interface SchemaEntry {
  section: string;
  property: string;
  /** `storage.buffer_budget`. */
  name: string;
  key: ConfigKey<unknown>;
}

/** Every key in the order of the table. */
export const CONFIG_ENTRIES: readonly SchemaEntry[] = Object.entries(CONFIG_SCHEMA).flatMap(([section, keys]) =>
  Object.entries(keys as Record<string, ConfigKey<unknown>>).map(([property, key]) => ({
    section,
    property,
    name: `${section}.${snakeCase(property)}`,
    key,
  })),
);

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

import { key } from '../config-key.ts';
import { duration, integer, rate, size } from '../value-types.ts';

export const limitsSection = {
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
} as const;

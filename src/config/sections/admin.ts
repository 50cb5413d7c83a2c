import { key } from '../config-key.ts';
import { boolean, listOf, listenAddress } from '../value-types.ts';

export const adminSection = {
  listen: key({
    type: listOf(listenAddress()),
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
} as const;

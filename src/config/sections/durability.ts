import { key } from '../config-key.ts';
import { oneOf } from '../value-types.ts';

export const durabilitySection = {
  sync: key({
    type: oneOf('strict', 'relaxed'),
    default: 'strict',
    env: 'HOLDFAST_SYNC',
    what: '`relaxed` answers writes before they are synced: they survive `kill -9` of the server, NOT a power cut or a crash of the system.',
    why: 'Acknowledged means durable. Only for data that can be made again, or where something else keeps the power on.',
  }),
} as const;

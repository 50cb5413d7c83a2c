import { key } from '../config-key.ts';
import { oneOf } from '../value-types.ts';

export const logSection = {
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
} as const;

import type { KeyCommands } from '../admin/key-report.ts';
import type { KeyArns } from '../keys/key-arn.ts';
import { type KeyRing, SERVER_KEY_NAME } from '../keys/key-ring.ts';

/** The key ring as the command line sees it. */
export function keyCommands(ring: KeyRing, arns: KeyArns): KeyCommands {
  return {
    list: () => ring.list().map((key) => (key.name === SERVER_KEY_NAME ? key : { ...key, arn: arns.arnOf(key.name) })),
    run: async (action, name) => {
      if (action === 'create') await ring.create(name);
      else if (action === 'rotate') await ring.rotate(name);
      else await ring.setEnabled(name, action === 'enable');
    },
  };
}

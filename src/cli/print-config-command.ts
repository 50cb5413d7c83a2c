import { CONFIG_ENTRIES, type Config } from '../config/config-schema.ts';
import type { Command } from './command.ts';
import { loadSettings } from './settings.ts';

export const printConfigCommand: Command = {
  name: 'print-config',
  summary: 'show every key with the value in force',
  usage: 'print-config [--config FILE] [--json]',
  details: 'Merges defaults, file, environment and flags as serve would, and prints the result. Secrets are not shown.',
  flags: { json: { isSwitch: true, what: 'print as JSON: bytes, milliseconds, bytes per second' } },
  arguments: 'disks',
  run: async (context, invocation) => {
    const { config } = await loadSettings(context, invocation);
    const values = CONFIG_ENTRIES.map(({ section, property, name, key }) => {
      const raw = (config[section as keyof Config] as Record<string, unknown>)[property];
      const value = key.isSecret && raw !== '' ? '(secret)' : (raw ?? 'auto');
      return { name, key, value };
    });
    if (invocation.own['json'] === 'true') {
      context.stdout.write(
        `${JSON.stringify(Object.fromEntries(values.map(({ name, value }) => [name, value])), null, 2)}\n`,
      );
      return 0;
    }
    for (const { name, key, value } of values) {
      context.stdout.write(`# ${key.what} ${key.env}\n${name} = ${JSON.stringify(value)}\n`);
    }
    return 0;
  },
};

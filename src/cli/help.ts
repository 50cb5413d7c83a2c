import { CONFIG_ENTRIES } from '../config/config-schema.ts';
import type { Command } from './command.ts';

export function overviewHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  const lines = commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`);
  return `Holdfast: S3-compatible object storage, erasure-coded over local disks.

Usage: holdfast COMMAND [flags]

${lines.join('\n')}

holdfast COMMAND --help tells more. Every configuration key is a flag, an environment variable and a key of the
file given by --config: see docs/CONFIGURATION.md or holdfast print-config.
Exit codes: 0 fine (warnings may have been printed), 1 an error was found, 2 wrong usage or configuration.
`;
}

export function commandHelp(command: Command): string {
  const own = Object.entries(command.flags).map(([flag, { isSwitch, what }]) => ({
    left: `--${flag}${isSwitch ? '' : ' VALUE'}`,
    what,
  }));
  const shared = [{ left: '--config FILE', what: 'configuration file (TOML); also HOLDFAST_CONFIG' }];
  const keys = CONFIG_ENTRIES.flatMap(({ key }) =>
    key.flag === undefined ? [] : [{ left: `--${key.flag} VALUE`, what: key.what.replaceAll('`', '') }],
  );
  const all = [...own, ...shared, ...keys];
  const width = Math.max(...all.map(({ left }) => left.length));
  const list = (rows: readonly { left: string; what: string }[]): string =>
    rows.map(({ left, what }) => `  ${left.padEnd(width)}  ${what}`).join('\n');
  return `${command.summary}

Usage: holdfast ${command.usage}

${command.details}

Flags:
${list([...own, ...shared])}

Configuration keys as flags:
${list(keys)}
`;
}

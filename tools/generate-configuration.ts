import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import type { ConfigKey } from '../src/config/config-key.ts';
import { CONFIG_ENTRIES } from '../src/config/config-schema.ts';

/** Writes docs/CONFIGURATION.md and config/holdfast.default.toml from the table of keys; a test compares them. */
const SECTION_TITLES: Readonly<Record<string, string>> = {
  storage: 'Disks, code and what lies on them',
  lifecycle: 'Objects that expire',
  durability: 'When a write is acknowledged',
  s3: 'The S3 endpoint',
  tls: 'HTTPS',
  admin: 'Metrics, health and status',
  root: 'The root key and the master key',
  limits: 'What one client, or all of them, may use',
  encryption: 'Encryption at rest',
  audit: 'The audit log',
  identity: 'Who callers are',
  log: 'The log, on standard error',
};

export const GENERATED_FILES = ['docs/CONFIGURATION.md', 'config/holdfast.default.toml'] as const;
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** File name to content. */
export async function generateConfiguration(): Promise<Record<(typeof GENERATED_FILES)[number], string>> {
  const prettierOptions = await resolveConfig(path.join(root, 'docs/CONFIGURATION.md'));
  return {
    'docs/CONFIGURATION.md': await format(configurationPage(), { ...prettierOptions, parser: 'markdown' }),
    'config/holdfast.default.toml': defaultFile(),
  };
}

function configurationPage(): string {
  const parts = [
    `# Configuration

Generated from \`src/config/sections/\` by \`npm run docs\`; a test keeps it fresh.

Every key can be set in four places; the later wins: the default, the TOML file given by \`--config FILE\` or
\`HOLDFAST_CONFIG\`, the environment, the command line. Values with a dimension carry their unit (\`"64 MiB"\`, \`"30 s"\`,
\`"32 MiB/s"\`); sizes know B, KiB, MiB, GiB, TiB and KB, MB, GB, TB, times ms, s, min, h and d. Lists are separated by
white space or commas outside the file. All problems of a configuration are reported at once, with exit code 2, before
anything is touched; unknown keys and unknown \`HOLDFAST_…\` variables are problems too. \`holdfast print-config\` shows
what is in force. Secrets have no flag, because flags can be read by every user of the machine.
`,
  ];
  for (const [section, title] of Object.entries(SECTION_TITLES)) {
    parts.push(`## \`[${section}]\` ${title}\n`);
    for (const { name, key } of CONFIG_ENTRIES.filter((entry) => entry.section === section)) {
      const flag = key.flag === undefined ? 'no flag: it is a secret' : `\`--${key.flag}\``;
      parts.push(`### \`${name}\`

${key.what}

- Type: ${key.type.describe}
- Default: ${key.default === '' ? 'not set' : `\`${tomlValue(key)}\``}. ${key.why}
- Environment: \`${key.env}\`; ${flag}
`);
    }
  }
  return parts.join('\n');
}

function defaultFile(): string {
  const lines = [
    '# Every key with its default. Copy what you change; production.example.toml is a start.',
    '# Generated from src/config/sections/ by npm run docs. docs/CONFIGURATION.md tells more.',
  ];
  let section = '';
  for (const entry of CONFIG_ENTRIES) {
    if (entry.section !== section) {
      section = entry.section;
      lines.push('', `[${section}]`);
    }
    lines.push('', `# ${entry.key.what}`, `# Why: ${entry.key.why}`);
    lines.push(`${entry.name.slice(section.length + 1)} = ${tomlValue(entry.key)}`);
  }
  return `${lines.join('\n')}\n`;
}

function tomlValue(key: ConfigKey<unknown>): string {
  if (Array.isArray(key.default)) return `[${key.default.map((item) => JSON.stringify(item)).join(', ')}]`;
  return JSON.stringify(key.default);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, content] of Object.entries(await generateConfiguration())) {
    const file = path.join(root, name);
    let before = '';
    try {
      before = readFileSync(file, 'utf8');
    } catch {
      // The first time there is none.
    }
    if (before !== content) writeFileSync(file, content);
  }
}

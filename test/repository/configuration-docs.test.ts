import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { CONFIG_ENTRIES, CONFIG_SCHEMA } from '../../src/config/config-schema.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { GENERATED_FILES, generateConfiguration } from '../../tools/generate-configuration.ts';
import { repositoryRoot, trackedFiles } from './tracked-files.ts';

function read(name: string): string {
  return readFileSync(path.join(repositoryRoot, name), 'utf8');
}

test.each(GENERATED_FILES)('%s is what npm run docs writes', async (name) => {
  expect(read(name)).toBe((await generateConfiguration())[name]);
});

test('the page of keys leaves none out', () => {
  const page = read('docs/CONFIGURATION.md');
  for (const { name } of CONFIG_ENTRIES) expect(page).toContain(`### \`${name}\``);
});

test('the file of defaults says exactly what holds without it', () => {
  const file = { name: 'holdfast.default.toml', text: read('config/holdfast.default.toml') };
  expect(loadConfig({ file, env: {}, flags: {} })).toEqual(loadConfig({ env: {}, flags: {} }));
});

test('the production example is valid and holds no secret', () => {
  const file = { name: 'production.example.toml', text: read('config/production.example.toml') };
  const config = loadConfig({ file, env: {}, flags: {} });
  expect(config.root.secretAccessKey).toBe('');
  expect(config.storage.code).toEqual({ k: 8, m: 4 });
});

test('every key is read somewhere: nothing is accepted and ignored', () => {
  const sources = trackedFiles()
    .filter(({ path: file }) => file.startsWith('src/') && !file.startsWith('src/config/sections/'))
    .map(({ text }) => text);
  const unread = CONFIG_ENTRIES.filter(
    ({ section, property }) => !sources.some((source) => isRead(source, section, property)),
  );
  expect(unread.map(({ name }) => name)).toEqual([]);
});

/** `limits.keepAlive`, the property taken out of a destructured section, or `x.keepAlive` where x is a `LimitsConfig`. */
function isRead(source: string, section: string, property: string): boolean {
  const slice = `${section.charAt(0).toUpperCase()}${section.slice(1)}Config`;
  return (
    new RegExp(`\\b${section}\\.${property}\\b`).test(source) ||
    new RegExp(`\\{[^{}=]*\\b${property}\\b[^{}=]*\\} = [\\w.#]*\\b${section}\\b`).test(source) ||
    (new RegExp(`: ${slice}\\b`).test(source) && new RegExp(`\\.${property}\\b`).test(source))
  );
}

test('a key that nothing reads would be reported', () => {
  expect(isRead('const a = config.limits.keepAlive;', 'limits', 'keepAlive')).toBe(true);
  expect(isRead('const { keepAlive, x } = config.limits;', 'limits', 'keepAlive')).toBe(true);
  expect(isRead('const a = config.limits.keepAlive;', 'limits', 'planted')).toBe(false);
});

test('every key says what it does and why in one sentence each', () => {
  for (const section of Object.values(CONFIG_SCHEMA)) {
    for (const key of Object.values(section)) {
      expect(key.what).toMatch(/^[A-Z`].*\.$/);
      expect(key.why).toMatch(/\.$/);
      expect(key.env).toMatch(/^HOLDFAST_[A-Z0-9_]+$/);
    }
  }
});

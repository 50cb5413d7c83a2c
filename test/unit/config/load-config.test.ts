import { expect, test } from 'vitest';
import { CONFIG_ENTRIES } from '../../../src/config/config-schema.ts';
import { ConfigError, loadConfig, type ConfigProblem, type ConfigSources } from '../../../src/config/load-config.ts';

const NOTHING: ConfigSources = { env: {}, flags: {} };

function problemsOf(sources: Partial<ConfigSources>): readonly ConfigProblem[] {
  try {
    loadConfig({ ...NOTHING, ...sources });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test('the defaults are valid and deeply frozen', () => {
  const config = loadConfig(NOTHING);
  expect(config.s3.listen).toEqual([
    { host: '127.0.0.1', port: 9000 },
    { host: '::1', port: 9000 },
  ]);
  expect(config.storage.bufferBudget).toBe(192 * 2 ** 20);
  for (const section of Object.values(config)) {
    expect(Object.isFrozen(section)).toBe(true);
    for (const value of Object.values(section))
      if (typeof value === 'object') expect(Object.isFrozen(value)).toBe(true);
  }
});

test('flags win over the environment, the environment over the file, the file over defaults', () => {
  const file = { name: 'h.toml', text: '[s3]\nregion = "from-file"\n[limits]\nkeep_alive = "5 s"\n' };
  expect(loadConfig({ ...NOTHING, file }).s3.region).toBe('from-file');
  expect(loadConfig({ ...NOTHING, file }).limits.keepAlive).toBe(5000);
  const env = { HOLDFAST_REGION: 'from-env' };
  expect(loadConfig({ ...NOTHING, file, env }).s3.region).toBe('from-env');
  expect(loadConfig({ file, env, flags: { region: ['first', 'from-flag'] } }).s3.region).toBe('from-flag');
});

test('every problem of every source is reported at once', () => {
  const problems = problemsOf({
    file: { name: 'h.toml', text: '[s3]\nregoin = "x"\nregion = 5\n[limts]\n[storage]\nreserve = 12\n' },
    env: { HOLDFAST_KEEP_ALIVE: '60', HOLDFAST_DISCS: '/a' },
    flags: { listen: 'nowhere', code: '30+1' },
  });
  expect(problems.map(({ where }) => where).sort()).toEqual(
    [
      '--code',
      '--listen',
      'HOLDFAST_DISCS',
      'HOLDFAST_KEEP_ALIVE',
      'h.toml: limts',
      'h.toml: s3.regoin',
      'h.toml: s3.region',
      'h.toml: storage.reserve',
    ].sort(),
  );
});

test('a misspelt key, section or variable gets the nearest name as a suggestion', () => {
  const [key, section, variable] = [
    problemsOf({ file: { name: 'h', text: '[s3]\nregoin = "x"' } })[0],
    problemsOf({ file: { name: 'h', text: '[storag]\ncode = "4+2"' } })[0],
    problemsOf({ env: { HOLDFAST_LISTN: 'x' } })[0],
  ];
  expect(key?.problem).toContain('did you mean s3.region?');
  expect(section?.problem).toContain('did you mean storage?');
  expect(variable?.problem).toContain('did you mean HOLDFAST_LISTEN?');
});

test('a key written outside its section names the section', () => {
  expect(problemsOf({ file: { name: 'h', text: 'region = "eu-west-1"' } })[0]?.problem).toContain('s3.region');
});

test('a file that is not TOML is reported with its line', () => {
  expect(problemsOf({ file: { name: 'h.toml', text: '[s3]\nregion = \n' } })[0]?.where).toMatch(/^h\.toml:2:/);
});

test.each([
  ['12', 'unit'],
  ['12 parsecs', 'unknown unit'],
  ['1 KiB', 'between'],
  ['-5 MiB', 'form'],
])('the size %j is refused: %s', (value, why) => {
  expect(problemsOf({ flags: { 'buffer-budget': value } })[0]?.problem).toContain(why === 'unit' ? 'form' : why);
});

test('a number without a unit in the file asks for the unit', () => {
  expect(problemsOf({ file: { name: 'h', text: '[limits]\nkeep_alive = 60' } })[0]?.problem).toContain('needs a unit');
});

test('a value of a secret key is never repeated in a problem', () => {
  const problems = problemsOf({
    env: { HOLDFAST_ROOT_ACCESS_KEY_ID: 'abcd', HOLDFAST_ROOT_SECRET_ACCESS_KEY: 'too-short' },
  });
  expect(problems).toHaveLength(1);
  expect(JSON.stringify(problems)).not.toContain('too-short');
});

test('half a root key is refused', () => {
  expect(problemsOf({ env: { HOLDFAST_ROOT_ACCESS_KEY_ID: 'ABCDEF' } })[0]?.where).toBe(
    'HOLDFAST_ROOT_SECRET_ACCESS_KEY',
  );
});

test('secrets have no flags', () => {
  for (const { key } of CONFIG_ENTRIES) if (key.isSecret) expect(key.flag).toBeUndefined();
});

test('the admin listener refuses other addresses than loopback unless allowed', () => {
  expect(problemsOf({ flags: { 'admin-listen': '0.0.0.0:9001' } })[0]?.problem).toContain('not loopback');
  expect(problemsOf({ flags: { 'admin-listen': '[::]:9001' } })).toHaveLength(1);
  expect(problemsOf({ flags: { 'admin-listen': '0.0.0.0:9001', 'admin-allow-remote': 'true' } })).toEqual([]);
  expect(problemsOf({ flags: { 'admin-listen': '127.0.0.1.evil.example:9001' } })).toHaveLength(1);
});

test('an empty admin list turns the TCP listener off', () => {
  expect(loadConfig({ ...NOTHING, env: { HOLDFAST_ADMIN_LISTEN: '' } }).admin.listen).toEqual([]);
});

test('variables that Kubernetes sets for a service named holdfast are not ours', () => {
  const env = {
    HOLDFAST_SERVICE_HOST: '10.0.0.1',
    HOLDFAST_SERVICE_PORT_S3: '9000',
    HOLDFAST_PORT: 'tcp://10.0.0.1:9000',
    HOLDFAST_PORT_9000_TCP_ADDR: '10.0.0.1',
  };
  expect(problemsOf({ env })).toEqual([]);
});

test('names, variables and flags are unique', () => {
  for (const pick of [
    CONFIG_ENTRIES.map(({ name }) => name),
    CONFIG_ENTRIES.map(({ key }) => key.env),
    CONFIG_ENTRIES.flatMap(({ key }) => (key.flag === undefined ? [] : [key.flag])),
  ]) {
    expect(new Set(pick).size).toBe(pick.length);
  }
});

test('lists come from white space and commas, but not from commas inside braces', () => {
  const read = (value: string): readonly string[] =>
    loadConfig({ ...NOTHING, env: { HOLDFAST_DISKS: value } }).storage.disks;
  expect(read('/a, /b  /c')).toEqual(['/a', '/b', '/c']);
  expect(read('/mnt/{a,b} /c')).toEqual(['/mnt/{a,b}', '/c']);
});

test('__proto__ in a file is an unknown section, not a prototype', () => {
  expect(problemsOf({ file: { name: 'h', text: '["__proto__"]\nx = 1' } })).toHaveLength(1);
  expect(
    problemsOf({ file: { name: 'h', text: '[s3]\n"__proto__" = 1\nconstructor = 2' } }).length,
  ).toBeGreaterThanOrEqual(1);
});

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { repositoryRoot } from '../../repository/tracked-files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-spawn-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** The real process, from source. */
async function holdfast(
  args: readonly string[],
  env: Record<string, string> = {},
  user: { uid?: number; gid?: number } = {},
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', path.join(repositoryRoot, 'src/main.ts'), ...args], {
    ...user,
    cwd: repositoryRoot,
    env: { PATH: process.env['PATH'], HOME: folder, ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, stdout, stderr };
}

test('help is 0, wrong usage and wrong configuration are 2, a problem is 1', async () => {
  const results = await Promise.all([
    holdfast(['--help']),
    holdfast(['serv']),
    holdfast(['serve', '--disks', `${folder}/d{1..6}`], { HOLDFAST_KEEP_ALIVE: 'soon', HOLDFAST_NONSENSE: '1' }),
    holdfast(['serve', '--disks', `${folder}/d{1..6}`]),
    holdfast(['status']),
  ]);
  expect(results.map(({ status }) => status)).toEqual([0, 2, 2, 1, 1]);
  expect(results[2]?.stderr).toContain('HOLDFAST_KEEP_ALIVE');
  expect(results[2]?.stderr).toContain('HOLDFAST_NONSENSE');
  expect(results[3]?.stderr).toContain(`holdfast format --disks '${folder}/d{1..6}' --code 4+2`);
  expect(readdirSync(folder)).toEqual([]);
});

test('the state directory follows STATE_DIRECTORY, then XDG_STATE_HOME, then HOME', async () => {
  const cases: [Record<string, string>, string][] = [
    [{ STATE_DIRECTORY: `${folder}/a:/other`, XDG_STATE_HOME: `${folder}/b` }, `${folder}/a`],
    [{ XDG_STATE_HOME: `${folder}/b` }, `${folder}/b/holdfast`],
    [{}, `${folder}/.local/state/holdfast`],
  ];
  for (const [env, directory] of cases) {
    const { status } = await holdfast(['tls', 'self-signed'], env);
    expect(status).toBe(0);
    expect(existsSync(path.join(directory, 'tls/key.pem'))).toBe(true);
  }
});

const NOBODY = 65_534;
/** Root may do everything: the commands then run as somebody else, where that user can read this repository. */
const other = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
const canRun = spawnSync(process.execPath, [path.join(repositoryRoot, 'bin/holdfast.cjs'), '--version'], other);

test.skipIf(canRun.status !== 0)('a state directory without rights is named, not one file of it', async () => {
  chmodSync(folder, 0o755);
  const state = path.join(folder, 'state');
  mkdirSync(state);
  const { uid = process.getuid?.(), gid = process.getgid?.() } = other;
  const fix = `sudo chown -R ${uid}:${gid} ${state} && chmod u+rwx ${state}\n`;
  const commands = [['status'], ['doctor'], ['serve', '--disks', `${folder}/d{1..3}`]];
  const run = (...command: string[]) => holdfast([...command, '--state', state], {}, other);

  chmodSync(state, 0o000);
  for (const { status, stdout, stderr } of await Promise.all(commands.map((command) => run(...command)))) {
    expect(status).toBe(1);
    expect(stdout + stderr).toContain(`no permission for the state directory ${state}`);
    expect(stdout + stderr).toContain(fix);
  }

  chmodSync(state, 0o755);
  if (other.uid !== undefined) chownSync(state, NOBODY, NOBODY);
  writeFileSync(path.join(state, 'notes of somebody else'), '');
  chmodSync(path.join(state, 'notes of somebody else'), 0o000);
  expect((await run('status')).stderr).toContain('it remembers no disks');

  writeFileSync(path.join(state, 'cluster.json'), '{}');
  chmodSync(path.join(state, 'cluster.json'), 0o000);
  expect(await run('status')).toMatchObject({ status: 1, stderr: expect.stringContaining(fix) });
});

test('a command whose reader has gone ends without a stack trace', async () => {
  const child = spawn('sh', ['-c', `"$0" --import tsx src/main.ts print-config | head -1`, process.execPath], {
    cwd: repositoryRoot,
    env: { PATH: process.env['PATH'], HOME: folder },
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdout.resume();
  await once(child, 'close');
  expect(stderr).not.toContain('Error');
});

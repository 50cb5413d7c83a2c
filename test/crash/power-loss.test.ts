import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AllowedState, checkState } from '../support/power-loss/check-state.ts';
import { type RecordedCall, readRecordedCalls } from '../support/power-loss/recorded-calls.ts';
import { type RecordedWrite, type Recording, recordWorkload } from '../support/power-loss/record-workload.ts';
import { POWER_LOSS_MODES, type PowerLossMode, type ReplayedTree } from '../support/power-loss/replayed-tree.ts';
import { describeHistory, type RecordedHistory } from '../support/power-loss/version-workload.ts';
import { SeededRandomness } from '../support/simulated-randomness.ts';

/**
 * Power loss of the real process: its calls that change files, SQLite's included, are recorded under a workload; at many
 * points states that POSIX allows after a power cut are made, and the stores must start on each and hold every promise.
 * `npm run crash:power` checks 10,000; POWER_STATES and POWER_SEED choose.
 */
const STATES = Number(process.env['POWER_STATES'] ?? 40);
const SEED = Number(process.env['POWER_SEED'] ?? 1);
const ROUNDS = STATES > 1000 ? 3 : 1;

let recording: Recording;
let calls: { call: RecordedCall; endBytes: number }[];

beforeAll(async () => {
  recording = await recordWorkload(ROUNDS);
  calls = [...readRecordedCalls(recording.logPath)];
}, 120_000);

afterAll(async () => {
  await recording?.server.destroy();
});

/** What each key may be after a power cut behind the call that ends at `atBytes` of the log. */
function allowedAt<W extends { key: string; beganBytes: number; acknowledgedBytes: number }, V>(
  writes: readonly W[],
  atBytes: number,
  { valueOf, atFirst }: { valueOf: (write: W) => V; atFirst: V },
): Map<string, V[]> {
  const allowed = new Map<string, V[]>();
  for (const write of writes) {
    const { key } = write;
    const known = allowed.get(key) ?? [atFirst];
    // Behind the beginning of a write it may be there; behind its acknowledgement nothing older may.
    if (write.acknowledgedBytes <= atBytes) allowed.set(key, [valueOf(write)]);
    else if (write.beganBytes <= atBytes) allowed.set(key, [...known, valueOf(write)]);
    else allowed.set(key, known);
  }
  return allowed;
}

function allowedStateAt(atBytes: number): AllowedState {
  const { writes, histories } = recording;
  return {
    bodies: allowedAt(writes, atBytes, { valueOf: (write: RecordedWrite) => write.body, atFirst: undefined }),
    histories: allowedAt(histories, atBytes, {
      valueOf: (one: RecordedHistory) => one.history,
      atFirst: describeHistory([]),
    }),
  };
}

interface DrawnModes {
  label: string;
  disks: PowerLossMode[];
  state: PowerLossMode;
}

/** One mode for all, as when the machine loses power, or each disk its own, as when each has a cache of its own. */
function drawModes(random: SeededRandomness): DrawnModes {
  const draw = (): PowerLossMode => POWER_LOSS_MODES[random.below(POWER_LOSS_MODES.length)] ?? 'random';
  const state = draw();
  if (random.below(2) === 0) return { label: state, disks: Array<PowerLossMode>(6).fill(state), state };
  return { label: 'mixed', disks: Array.from({ length: 6 }, draw), state };
}

/** Replays the recording and checks `stateCount` states, evenly spread over the work. */
async function checkStates(
  tree: ReplayedTree,
  stateCount: number,
  draw: (random: SeededRandomness) => DrawnModes,
  change: (call: RecordedCall) => RecordedCall | undefined = (call) => call,
): Promise<{ checked: number; byMode: Record<string, number>; violations: string[] }> {
  const random = new SeededRandomness(SEED);
  const { workBeganBytes, masterKey } = recording;
  const first = calls.findIndex(({ endBytes }) => endBytes > workBeganBytes);
  const every = (calls.length - first) / stateCount;
  const byMode: Record<string, number> = {};
  const violations: string[] = [];
  let checked = 0;
  for (const [index, { call, endBytes }] of calls.entries()) {
    const changed = change(call);
    if (changed !== undefined) tree.apply(changed);
    const due = Math.min(stateCount, Math.floor((index + 1 - first) / every + 1e-9));
    for (; checked < due && violations.length < 20; checked++) {
      const modes = draw(random);
      const disks = modes.disks.map((mode, i) => tree.crashed(`disk${i + 1}`, mode, random));
      const state = tree.crashed('state', modes.state, random);
      const found = await checkState({ disks, state, random, masterKey }, 'main', allowedStateAt(endBytes));
      byMode[modes.label] = (byMode[modes.label] ?? 0) + 1;
      const where = `behind call ${index} of ${calls.length} (${call.kind}), ${modes.disks.join(' ')}, state ${modes.state}`;
      violations.push(...found.map((text) => `${where}: ${text}`));
    }
  }
  return { checked, byMode, violations };
}

test(
  'after a power cut at any call of the real process everything acknowledged is there and nothing is half visible',
  { timeout: 60_000 + STATES * 4000 },
  async () => {
    const { checked, byMode, violations } = await checkStates(recording.trees[0]!, STATES, drawModes);
    console.log(`${checked} states, seed ${SEED}: ${JSON.stringify(byMode)}, ${violations.length} violations`);
    expect(violations).toEqual([]);
    expect(checked).toBe(STATES);
  },
);

test('a process that does not wait for its syncs is found out', { timeout: 60_000 }, async () => {
  const dropAll = (): DrawnModes => ({
    label: 'drop-all',
    disks: Array<PowerLossMode>(6).fill('drop-all'),
    state: 'drop-all',
  });
  const { violations } = await checkStates(recording.trees[1]!, 5, dropAll, (call) => {
    if (call.kind === 'sync-end') return undefined;
    return call.kind === 'write-end' ? { ...call, isSynced: false } : call;
  });
  expect(violations).not.toEqual([]);
});

import { codeOfSeed, hasLocksSeed, isVersionedSeed, ScheduleViolation } from './schedule-steps.ts';
import type { ServiceScheduleOptions, ServiceScheduleOutcome } from './service-schedule.ts';
import { shrinkSteps } from './shrink-steps.ts';

export interface SimulationOptions {
  seed: number;
  /** Seeds from `seed` on are begun until so much time has passed; at least one is run. */
  minutes: number;
  steps: number;
  /** Run the first seed only. */
  isOnce: boolean;
  /** Steps to leave out: how a shrunk failure is replayed. */
  without: ReadonlySet<number>;
  shrinkSeconds: number;
}

export interface SimulationWorld {
  runSchedule(options: ServiceScheduleOptions): Promise<ServiceScheduleOutcome>;
  nowMs(): number;
  print(line: string): void;
}

/** Runs seed after seed. Returns the exit code: 1 after a violation, which ends it, shrunk and with how to replay it. */
export async function simulate(options: SimulationOptions, world: SimulationWorld): Promise<0 | 1> {
  const startMs = world.nowMs();
  const endMs = startMs + options.minutes * 60_000;
  const totals = new Totals();
  for (let seed = options.seed; totals.seeds === 0 || world.nowMs() < endMs; seed++) {
    const schedule = {
      seed,
      code: codeOfSeed(seed),
      isVersioned: isVersionedSeed(seed),
      hasLocks: hasLocksSeed(seed),
      steps: options.steps,
      without: options.without,
    };
    try {
      totals.add(await world.runSchedule(schedule));
    } catch (error) {
      if (!(error instanceof ScheduleViolation)) throw error;
      totals.tell(world, startMs);
      await tellViolation(error, schedule, options, world);
      return 1;
    }
    if (options.isOnce) break;
  }
  totals.tell(world, startMs);
  world.print(`no violation in seeds ${options.seed} to ${options.seed + totals.seeds - 1}`);
  return 0;
}

class Totals {
  seeds = 0;
  readonly #counts: Record<'steps' | 'calls', Record<string, number>> = { steps: {}, calls: {} };
  #unknown = 0;
  #starts = 0;

  add({ steps, calls, unknown, starts }: ServiceScheduleOutcome): void {
    this.seeds++;
    for (const [name, count] of Object.entries(steps)) this.#count('steps', name, count);
    for (const [name, count] of Object.entries(calls)) this.#count('calls', name, count);
    this.#unknown += unknown;
    this.#starts += starts;
  }

  tell(world: SimulationWorld, startMs: number): void {
    const minutes = (world.nowMs() - startMs) / 60_000;
    const rate = minutes > 0 ? `, ${(this.seeds / minutes).toFixed(1)} a minute` : '';
    world.print(`${this.seeds} seeds in ${minutes.toFixed(2)} minutes${rate}`);
    world.print(`steps  ${JSON.stringify(this.#counts.steps)}`);
    world.print(
      `calls  ${JSON.stringify(this.#counts.calls)}, ${this.#unknown} without an answer; ${this.#starts} starts`,
    );
  }

  #count(what: 'steps' | 'calls', name: string, count: number): void {
    this.#counts[what][name] = (this.#counts[what][name] ?? 0) + count;
  }
}

async function tellViolation(
  violation: ScheduleViolation,
  schedule: ServiceScheduleOptions & { without: ReadonlySet<number> },
  options: SimulationOptions,
  world: SimulationWorld,
): Promise<void> {
  world.print(`VIOLATION ${violation.message}`);
  const where = violation.failedStep === undefined ? 'the checks at the end' : `step ${violation.failedStep}`;
  world.print(`it was found by ${where}; replay: ${replayOf(schedule)}`);
  const endMs = world.nowMs() + options.shrinkSeconds * 1000;
  let smallest = violation;
  const without = await shrinkSteps({
    steps: Array.from({ length: schedule.steps }, (_, step) => step).filter((step) => !schedule.without.has(step)),
    // Nothing behind the step that failed matters, unless the checks at the end found it.
    first: (step) => violation.failedStep === undefined || step <= violation.failedStep,
    hasTime: () => world.nowMs() < endMs,
    fails: async (kept) => {
      const left = Array.from({ length: schedule.steps }, (_, step) => step).filter((step) => !kept.has(step));
      try {
        await world.runSchedule({ ...schedule, without: new Set(left) });
        return false;
      } catch (error) {
        if (!(error instanceof ScheduleViolation)) throw error;
        smallest = error;
        return true;
      }
    },
  });
  if (without === undefined) {
    world.print('the same steps did not fail again: it depends on more than the seed, shrinking is of no use');
    return;
  }
  const left = Array.from({ length: schedule.steps }, (_, step) => step).filter((step) => !without.has(step));
  world.print(`SHRUNK to ${without.size} of ${schedule.steps} steps: ${smallest.message}`);
  world.print(`replay: ${replayOf({ ...schedule, without: new Set(left) })}`);
}

function replayOf({ seed, steps, without }: ServiceScheduleOptions): string {
  const leftOut = without === undefined || without.size === 0 ? '' : ` --without ${[...without].join(',')}`;
  return `npm run simulate -- --seed ${seed} --steps ${steps} --once${leftOut}`;
}

import type { ServerOptions } from '../cli/server-types.ts';
import type { DataStore } from '../data-store/data-store.ts';
import { BackgroundLoop } from '../healing/background-loop.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import { type LifecycleReport, LifecycleWorker, passPeriodMs } from '../service/lifecycle/lifecycle-worker.ts';

/** Lifecycle rules at work. */
export interface Lifecycle {
  start(): void;
  /** Before the stores. Ends after the batch under way. */
  stop(): Promise<void>;
  configurationChanged(bucketId: number): void;
  report(): LifecycleReport;
}

/** Between two looks whether something is due. */
const INTERVAL_MS = 5000;

export function makeLifecycle(
  { clock, config, log }: ServerOptions,
  parts: {
    metadataStore: MetadataStore;
    dataStore: DataStore;
    isTimeTrusted: () => boolean;
    requestsInFlight: () => number;
  },
): Lifecycle {
  const { day: dayMs, rate } = config.lifecycle;
  const ownLog = log.child({ part: 'lifecycle' });
  const loop = new BackgroundLoop({
    clock,
    intervalMs: Math.min(INTERVAL_MS, passPeriodMs(dayMs) / 4),
    step: async () => {
      try {
        await worker.run();
      } catch (error) {
        if (isStoreError(error)) ownLog.warn({ err: error }, 'lifecycle rules wait');
        else ownLog.error({ err: error }, 'lifecycle rules failed');
      }
    },
  });
  const worker = new LifecycleWorker({
    ...parts,
    clock,
    dayMs,
    actionsPerSecond: rate,
    movedBytesPerSecond: config.storage.collectorRate,
    pause: (delayMs) => loop.pause(delayMs),
    isStopped: () => loop.isStopped,
  });
  return {
    start: () => loop.start(),
    stop: () => loop.stop(),
    configurationChanged: (bucketId) => worker.configurationChanged(bucketId),
    report: () => worker.report(),
  };
}

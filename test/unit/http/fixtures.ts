import { afterEach } from 'vitest';
import { createListener, type Listener, type ListenerOptions } from '../../../src/http/listener.ts';
import { TrustedProxies } from '../../../src/http/trusted-proxies.ts';
import { SystemClock, SystemRandomness } from '../../../src/observability/system-clock.ts';
import { StallWatchdog } from '../../../src/streams/stall-watchdog.ts';
import { RecordingLog } from '../../support/recording-log.ts';
import { RawConnection, type Endpoint } from '../../support/signed-client.ts';

const opened: { close(options: { boundMs: number }): Promise<void> }[] = [];
const connections: RawConnection[] = [];

afterEach(async () => {
  for (const connection of connections.splice(0)) connection.close();
  await Promise.all(opened.splice(0).map((listener) => listener.close({ boundMs: 0 })));
});

export interface Opened {
  listener: Listener;
  endpoint: Endpoint;
  log: RecordingLog;
  connect: () => Promise<RawConnection>;
}

/** A listener on a free port of 127.0.0.1, closed after the test. */
export async function open(
  onExchange: ListenerOptions['onExchange'],
  options: Partial<ListenerOptions> & { stallTimeoutMs?: number; minimumBytesPerSecond?: number } = {},
): Promise<Opened> {
  const log = new RecordingLog();
  const clock = new SystemClock();
  const listener = await createListener({
    addresses: [{ host: '127.0.0.1', port: 0 }],
    limits: {
      maximumConnections: 100,
      maximumConnectionsPerAddress: 0,
      maximumHeaderBytes: 16 * 1024,
      maximumHeaderCount: 100,
    },
    timeouts: { headersMs: 60_000, keepAliveMs: 60_000 },
    discard: { discardBytes: 1024 * 1024, discardMs: 5_000 },
    watchdog: new StallWatchdog({
      clock,
      minimumBytesPerSecond: options.minimumBytesPerSecond ?? 1024,
      stallTimeoutMs: options.stallTimeoutMs ?? 30_000,
    }),
    onExchange,
    log,
    clock,
    randomness: new SystemRandomness(),
    proxies: new TrustedProxies([]),
    ...options,
  });
  opened.push(listener);
  const endpoint = { host: '127.0.0.1', port: listener.addresses[0]!.port };
  return {
    listener,
    endpoint,
    log,
    connect: async () => {
      const connection = await RawConnection.open(endpoint);
      connections.push(connection);
      return connection;
    },
  };
}

/** Waits for a condition. */
export async function eventually(isTrue: () => boolean, boundMs = 30_000): Promise<void> {
  const deadline = Date.now() + boundMs;
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`not true after ${boundMs} ms: ${isTrue.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

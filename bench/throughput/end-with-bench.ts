const open = new Set<{ stop(): Promise<void> }>();
let isWatching = false;

/** A bench that is stopped leaves neither servers nor their data behind. Returns what takes the server off the list. */
export function endWithBench(server: { stop(): Promise<void> }): () => void {
  open.add(server);
  if (!isWatching) {
    isWatching = true;
    // Not once: a runner may pass a signal on that the whole group got already.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, endAll);
  }
  return () => void open.delete(server);
}

function endAll(): void {
  void Promise.allSettled([...open].map(async (server) => server.stop())).finally(() => process.exit(1));
}

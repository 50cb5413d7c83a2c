import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Starts a worker thread whose module lies beside the caller's. `stem` is the module's file name without its ending; the
 * ending is that of the caller (`.ts` under tsx and vitest, `.js` in `dist/`). Node 20 gives a worker no loader for
 * TypeScript, so from sources a line of JavaScript registers tsx first.
 *
 * `startWorker(import.meta.url, './hash-worker', { workerData })`
 */
export function startWorker(callerUrl: string, stem: string, options: WorkerOptions = {}): Worker {
  const isSource = new URL(callerUrl).pathname.endsWith('.ts');
  const url = new URL(stem + (isSource ? '.ts' : '.js'), callerUrl);
  if (!isSource) return new Worker(url, options);
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const start = `import(${tsx}).then(({ register }) => { register(); return import(${JSON.stringify(url.href)}); });`;
  return new Worker(start, { ...options, eval: true, execArgv: [] });
}

'use strict';
// Loaded into the bench's own server by NODE_OPTIONS=--require. Asked over the channel to the bench, it measures what only
// the process itself can see: delay and use of the event loop, pauses of garbage collection, a CPU profile.
const { writeFileSync } = require('node:fs');
const { Session } = require('node:inspector');
const { PerformanceObserver, monitorEventLoopDelay, performance } = require('node:perf_hooks');
const { isMainThread } = require('node:worker_threads');

const RESOLUTION_MS = 10;

if (isMainThread && process.send !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  const gc = { count: 0, totalMs: 0, maxMs: 0 };
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      gc.count += 1;
      gc.totalMs += duration;
      gc.maxMs = Math.max(gc.maxMs, duration);
    }
  });
  let session;
  let utilization = performance.eventLoopUtilization();

  const start = ({ isProfiled }) => {
    Object.assign(gc, { count: 0, totalMs: 0, maxMs: 0 });
    observer.observe({ entryTypes: ['gc'] });
    delay.enable();
    delay.reset();
    utilization = performance.eventLoopUtilization();
    if (!isProfiled) return process.send({ type: 'started' });
    session = new Session();
    session.connect();
    session.post('Profiler.enable');
    session.post('Profiler.setSamplingInterval', { interval: 500 });
    session.post('Profiler.start', () => process.send({ type: 'started' }));
  };

  const stop = ({ profileFile }) => {
    // A histogram of a timer's gaps: what is beyond the timer's own interval is delay.
    const beyond = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    const measured = {
      loopDelayP99Ms: beyond(delay.percentile(99)),
      loopDelayMaxMs: beyond(delay.max),
      loopUtilization: performance.eventLoopUtilization(utilization).utilization,
      gcCount: gc.count,
      gcTotalMs: gc.totalMs,
      gcMaxMs: gc.maxMs,
    };
    delay.disable();
    observer.disconnect();
    if (session === undefined) return process.send({ type: 'stopped', measured });
    session.post('Profiler.stop', (error, result) => {
      if (error === null) writeFileSync(profileFile, JSON.stringify(result.profile));
      session.disconnect();
      session = undefined;
      process.send({ type: 'stopped', measured, problem: error === null ? undefined : error.message });
    });
  };

  process.on('message', (message) => (message.type === 'start' ? start(message) : stop(message)));
  // The bench has ended, however it ended: its server must not stay.
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}

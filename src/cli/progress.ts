import type { ReadinessReport } from '../admin/status-report.ts';
import type { Log } from '../observability/log.ts';
import type { TextOutput } from './command.ts';

/** Recovery on a terminal is one line that changes; elsewhere one log line for each phase. */
export function progressReporter(
  output: TextOutput,
  log: Log,
): { report: (readiness: ReadinessReport) => void; end: () => void } {
  let lastPhase = '';
  let isLineOpen = false;
  return {
    report: (readiness) => {
      if (output.isTerminal) {
        output.write(`\r\x1b[K${describeReadiness(readiness)}`);
        isLineOpen = true;
      } else if (readiness.phase !== lastPhase) {
        log.info({ phase: readiness.phase, percent: readiness.percent }, 'phase');
      }
      lastPhase = readiness.phase;
    },
    end: () => {
      if (isLineOpen) output.write('\r\x1b[K');
      isLineOpen = false;
    },
  };
}

/** `replaying 42 %, about 3 s left`. */
export function describeReadiness(readiness: ReadinessReport): string {
  if (readiness.isReady) return 'ready';
  const left = readiness.timeLeftMs === undefined ? '' : `, about ${Math.ceil(readiness.timeLeftMs / 1000)} s left`;
  const detail = readiness.detail === undefined ? '' : ` (${readiness.detail})`;
  return `${readiness.phase} ${Math.floor(readiness.percent)} %${left}${detail}`;
}

import { auditLine } from '../admin/audit/audit-entry.ts';
import { AuditFile, type AuditSink } from '../admin/audit/audit-file.ts';
import { AuditWebhook } from '../admin/audit/audit-webhook.ts';
import type { ServerOptions } from '../cli/server-types.ts';
import type { HttpExchange } from '../http/http-exchange.ts';

/** The audit log as configured. */
export interface Audit {
  finished(exchange: HttpExchange, durationMs: number): void;
  droppedCount(): number;
  close(): Promise<void>;
}

/** `undefined`: nobody wants one, and no request pays for it. */
export function makeAudit({ clock, config, log }: Pick<ServerOptions, 'clock' | 'config' | 'log'>): Audit | undefined {
  const { file, fileSize, keep, webhook, webhookToken } = config.audit;
  const ownLog = log.child({ part: 'audit' });
  const sinks: AuditSink[] = [];
  if (file !== '') sinks.push(new AuditFile({ path: file, sizeBytes: fileSize, keep, log: ownLog }));
  if (webhook !== '') sinks.push(new AuditWebhook({ url: webhook, token: webhookToken, clock, log: ownLog }));
  if (sinks.length === 0) return undefined;
  return {
    finished: (exchange, durationMs) => {
      const line = auditLine(exchange, { nowMs: clock.nowMs(), durationMs });
      for (const sink of sinks) sink.write(line);
    },
    droppedCount: () => sinks.reduce((sum, { droppedCount }) => sum + droppedCount, 0),
    close: async () => void (await Promise.all(sinks.map((sink) => sink.close()))),
  };
}

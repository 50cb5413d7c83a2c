import type { IncomingMessage, ServerResponse } from 'node:http';
import type { StallWatchdog } from '../streams/stall-watchdog.ts';

/** How much of a refused body is still read, so that the client sees the answer and not a reset. */
export interface DiscardBounds {
  readonly discardBytes: number;
  readonly discardMs: number;
}

/** One request and its answer. The pipeline fills in what only it knows; the access log reads it when all is over. */
export interface HttpExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Sent as x-amz-request-id and found in every log line. */
  readonly requestId: string;
  /** Over TLS, to the proxy at least. */
  readonly isSecure: boolean;
  /** The peer of the socket, or the client that a trusted proxy names. */
  readonly remoteAddress: string;
  /** Aborted when the client is gone before the answer was finished, or the server cuts it. */
  readonly signal: AbortSignal;
  readonly access: AccessEntry;
  readonly runtime: ExchangeRuntime;
}

export interface AccessEntry {
  operation: string;
  bucket: string;
  key: string;
  /** The Origin header, once the request is parsed. */
  origin?: string;
  /** S3's error code; empty for success. */
  code: string;
  accessKeyId: string;
  /** What the authorizer said: the refusal, or else the first permission. */
  decision?: AccessEntryDecision;
  /** As whom it was let in and counts as in flight. */
  caller?: string;
  /** Why it went wrong, for the operator. Never a secret or a signature. */
  hint: string;
  /** Bytes of the body as received; the body object may be set instead. */
  bytesIn: number;
  body: { readonly receivedBytes: number } | undefined;
  /** Bytes of the answer's body handed to the socket. */
  bytesOut: number;
}

/** For the audit log. Names and ARNs, never a secret. */
export interface AccessEntryDecision {
  readonly isAllowed: boolean;
  readonly action: string;
  readonly resource: string;
  readonly principalType: string;
  /** Empty for anonymous. */
  readonly principalArn: string;
  readonly accountId: string;
  /** Which rule decided. */
  readonly reason: string;
  /** Sid of the statement that decided, if it has one. */
  readonly statementId?: string;
}

/** What answering needs of the listener. */
export interface ExchangeRuntime extends DiscardBounds {
  /** Cuts clients that are too slow, in both directions. */
  readonly watchdog: StallWatchdog;
  /** Runs `callback` once after `delayMs`; returns its cancellation. */
  schedule(delayMs: number, callback: () => void): () => void;
}

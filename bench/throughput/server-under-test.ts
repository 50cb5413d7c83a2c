import type { ServerProbe } from './server-probe.ts';
import type { Signer } from './sign-request.ts';

/** A server that is measured. */
export interface ServerUnderTest {
  /** Column of the table: `holdfast`, `minio`, or the host. */
  readonly name: string;
  readonly address: { host: string; port: number };
  readonly signer: Signer;
  /** Undefined when it is not on this machine. */
  readonly processId: number | undefined;
  /** Set when the bench started it and knows its files. */
  readonly own: OwnedServer | undefined;
  /** Ends it and removes its data, if the bench started it. */
  stop(): Promise<void>;
}

/** What only a server that the bench started itself can be asked. */
export interface OwnedServer {
  /** Directories of the disks. */
  readonly diskPaths: readonly string[];
  /** Takes the first disk away while it runs; returns what puts it back. */
  loseDisk(): Promise<() => Promise<void>>;
  /** Only in Holdfast's own process. */
  readonly probe: ServerProbe | undefined;
}

export function parseEndpoint(endpoint: string): { host: string; port: number } {
  const url = new URL(endpoint);
  if (url.protocol !== 'http:') throw new Error(`${endpoint}: only http is measured`);
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: url.port === '' ? 80 : Number(url.port) };
}

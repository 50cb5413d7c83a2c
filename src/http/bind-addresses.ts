import type { Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { errorCode } from './error-code.ts';

export interface ListenAddress {
  /** A name or address; `::1` may be missing on machines without IPv6. */
  readonly host: string;
  /** 0: any free one, the same for all addresses. */
  readonly port: number;
}

const NO_SUCH_ADDRESS: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']);
const PORT_ATTEMPTS = 10;

/**
 * Listens on every address, one server each. An IPv6 address that the machine does not have is left out when another
 * one is listened on; anything else that fails closes them all.
 * @throws Error with `code` EADDRINUSE, EACCES … and `address`, `port`
 */
export async function bindAddresses(
  addresses: readonly ListenAddress[],
  createServer: () => Server,
): Promise<Server[]> {
  const isOneOfSeveral = addresses.length > 1;
  const wantsAnyPort = isOneOfSeveral && addresses.every(({ port }) => port === 0);
  for (let attempt = 1; ; attempt++) {
    const servers: Server[] = [];
    try {
      let freePort: number | undefined;
      for (const address of addresses) {
        const port = freePort ?? address.port;
        const server = await listenOrLeaveOut(createServer(), { host: address.host, port, isOneOfSeveral });
        if (server === undefined) continue;
        servers.push(server);
        if (wantsAnyPort) freePort ??= (server.address() as AddressInfo).port;
      }
      if (servers.length === 0) throw new Error('none of the addresses to listen on exists on this machine');
      return servers;
    } catch (error) {
      for (const server of servers) server.close();
      if (!(wantsAnyPort && errorCode(error) === 'EADDRINUSE' && attempt < PORT_ATTEMPTS)) throw error;
    }
  }
}

async function listenOrLeaveOut(
  server: Server,
  address: ListenAddress & { isOneOfSeveral: boolean },
): Promise<Server | undefined> {
  const { host, port, isOneOfSeveral } = address;
  const isIpv6 = host.includes(':');
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      // beside an IPv4 address `::` must leave that one alone
      server.listen({ host, port, ipv6Only: isIpv6 && isOneOfSeveral }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return server;
  } catch (error) {
    if (isIpv6 && isOneOfSeveral && NO_SUCH_ADDRESS.has(errorCode(error))) return undefined;
    throw error;
  }
}

import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** Whom a request comes from, and how it travelled. */
export interface RequestOrigin {
  /** IPv4 or IPv6, without port; an IPv4 address that came over an IPv6 socket is written as IPv4. */
  readonly address: string;
  readonly isSecure: boolean;
}

/**
 * Reads who the client is from `X-Forwarded-For` and `X-Forwarded-Proto`, but only where the peer of the socket is a proxy
 * that the configuration names: anybody can send these headers. Walks the list from its end over trusted proxies; the first
 * address that is none of them is the client.
 */
export class TrustedProxies {
  readonly #ranges = new BlockList();
  readonly #isEmpty: boolean;

  /** @param ranges addresses or `address/prefix`. @throws Error for what is neither */
  constructor(ranges: readonly string[]) {
    this.#isEmpty = ranges.length === 0;
    for (const range of ranges) {
      const [address = '', prefix] = range.split('/');
      const family = familyOf(address);
      if (family === undefined) throw new Error(`${range} is no range of addresses`);
      if (prefix === undefined) this.#ranges.addAddress(address, family);
      else this.#ranges.addSubnet(address, Number(prefix), family);
    }
  }

  /** @param peer of the socket, as node writes it */
  originOf(request: Pick<IncomingMessage, 'rawHeaders'>, peer: string, isSecure: boolean): RequestOrigin {
    const address = plainAddress(peer);
    if (this.#isEmpty || !this.#isTrusted(address)) return { address, isSecure };
    const forwarded = valuesOf(request, 'x-forwarded-for');
    // The last one is what the peer itself wrote.
    const protocol = valuesOf(request, 'x-forwarded-proto').at(-1)?.toLowerCase();
    return {
      address: this.#clientOf(forwarded, address),
      isSecure: protocol === undefined ? isSecure : protocol === 'https',
    };
  }

  /** The peer says that it forwards for others and is none of the trusted: many clients may stand behind its address. */
  isUnlistedProxy(request: Pick<IncomingMessage, 'rawHeaders'>, peer: string): boolean {
    return !this.#isTrusted(plainAddress(peer)) && valuesOf(request, 'x-forwarded-for').length > 0;
  }

  #clientOf(forwarded: readonly string[], peer: string): string {
    let client = peer;
    for (const entry of forwarded.toReversed()) {
      const address = plainAddress(withoutPort(entry));
      // What the proxy before it wrote cannot be understood: that proxy is the last one known.
      if (isIP(address) === 0) break;
      client = address;
      if (!this.#isTrusted(address)) break;
    }
    return client;
  }

  /** @param address as node writes it */
  isTrusted(address: string): boolean {
    return !this.#isEmpty && this.#isTrusted(plainAddress(address));
  }

  #isTrusted(address: string): boolean {
    const family = familyOf(address);
    return family !== undefined && this.#ranges.check(address, family);
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = isIP(address);
  if (version === 0) return undefined;
  return version === 4 ? 'ipv4' : 'ipv6';
}

/** `::ffff:192.0.2.1` is how a socket of both families names an IPv4 peer. */
function plainAddress(address: string): string {
  if (!address.startsWith(':')) return address;
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address) ? address.slice('::ffff:'.length) : address;
}

/** Some proxies write `192.0.2.1:4711` or `[2001:db8::1]:4711`. */
function withoutPort(entry: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(entry);
  if (bracketed !== null) return bracketed[1]!;
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(entry) ? entry.slice(0, entry.indexOf(':')) : entry;
}

/** The elements of a header that is a list, of all its lines. */
function valuesOf({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>, name: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const line = rawHeaders[index]!;
    if (line.length !== name.length || line.toLowerCase() !== name) continue;
    values.push(...rawHeaders[index + 1]!.split(',').map((value) => value.trim()));
  }
  return values;
}

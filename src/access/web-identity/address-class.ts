import { BlockList, isIP } from 'node:net';

/** Where a server may let itself be sent: `private` only when the operator says so, `forbidden` never. */
export type AddressClass = 'public' | 'private' | 'forbidden';

const PRIVATE = listOf([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['::1', 128],
  ['fc00::', 7],
]);

/** Link-local ones, where clouds keep the credentials of their machines, and whatever is no single host. */
const SPECIAL = listOf([
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Tunnels and translations lead to addresses that are not looked at here.
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]);

const GLOBAL_V6 = listOf([['2000::', 3]]);

/** @param address as a resolver gives it; anything that is no address is forbidden */
export function classifyAddress(address: string): AddressClass {
  const family = isIP(address);
  if (family === 0) return 'forbidden';
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (SPECIAL.check(address, type)) return 'forbidden';
  if (family === 6 && address.toLowerCase().startsWith('::ffff:')) return 'forbidden';
  if (PRIVATE.check(address, type)) return 'private';
  return family === 4 || GLOBAL_V6.check(address, type) ? 'public' : 'forbidden';
}

function listOf(subnets: readonly (readonly [address: string, prefix: number])[]): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of subnets) list.addSubnet(address, prefix, address.includes(':') ? 'ipv6' : 'ipv4');
  return list;
}

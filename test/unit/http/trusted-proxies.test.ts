import { expect, test } from 'vitest';
import { TrustedProxies } from '../../../src/http/trusted-proxies.ts';

const PROXIES = ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32'];

function originOf(peer: string, headers: readonly (readonly [string, string])[], ranges: readonly string[] = PROXIES) {
  return new TrustedProxies(ranges).originOf({ rawHeaders: headers.flat() }, peer, false);
}

test('sec_forwarded_for_of_an_untrusted_peer_is_ignored__CVE_2026_21862', () => {
  const forged = [
    ['X-Forwarded-For', '127.0.0.1'],
    ['X-Forwarded-Proto', 'https'],
  ] as const;
  expect(originOf('198.51.100.9', forged)).toEqual({ address: '198.51.100.9', isSecure: false });
  expect(originOf('198.51.100.9', forged, [])).toEqual({ address: '198.51.100.9', isSecure: false });
});

test.each([
  ['one proxy', '10.1.1.1', '203.0.113.5', '203.0.113.5'],
  ['a chain of proxies, all trusted', '10.1.1.1', '203.0.113.5, 192.0.2.7, 10.2.2.2', '203.0.113.5'],
  ['what the client put in front of its own address', '10.1.1.1', '127.0.0.1, 203.0.113.5', '203.0.113.5'],
  ['only proxies', '10.1.1.1', '10.2.2.2, 10.3.3.3', '10.2.2.2'],
  ['an address with a port', '10.1.1.1', '203.0.113.5:4711', '203.0.113.5'],
  ['IPv6 with a port', '2001:db8::1', '[2001:dba::9]:4711', '2001:dba::9'],
  ['an IPv4 proxy on a socket of both families', '::ffff:10.1.1.1', '203.0.113.5', '203.0.113.5'],
  ['nonsense before a trusted hop', '10.1.1.1', 'unknown, 10.2.2.2', '10.2.2.2'],
  ['nonsense alone', '10.1.1.1', '<script>', '10.1.1.1'],
  ['an empty header', '10.1.1.1', '', '10.1.1.1'],
])('the client behind a trusted proxy: %s', (_case, peer, forwarded, client) => {
  expect(originOf(peer, [['x-forwarded-for', forwarded]]).address).toBe(client);
});

test('several lines of the header are one list', () => {
  const lines = [
    ['X-Forwarded-For', '127.0.0.1'],
    ['x-forwarded-for', '203.0.113.5'],
  ] as const;
  expect(originOf('10.1.1.1', lines).address).toBe('203.0.113.5');
});

test('a trusted proxy says whether the client came over TLS; the last word is its own', () => {
  expect(originOf('10.1.1.1', [['x-forwarded-proto', 'https']]).isSecure).toBe(true);
  expect(originOf('10.1.1.1', [['x-forwarded-proto', 'https, http']]).isSecure).toBe(false);
  expect(originOf('10.1.1.1', []).isSecure).toBe(false);
});

test('a proxy that is not listed is known by its header', () => {
  const proxies = new TrustedProxies(PROXIES);
  const forwarded = { rawHeaders: ['X-Forwarded-For', '203.0.113.5'] };
  expect(proxies.isUnlistedProxy(forwarded, '198.51.100.9')).toBe(true);
  expect(proxies.isUnlistedProxy(forwarded, '10.1.1.1')).toBe(false);
  expect(proxies.isUnlistedProxy({ rawHeaders: [] }, '198.51.100.9')).toBe(false);
});

test('what is no range is refused', () => {
  expect(() => new TrustedProxies(['proxy.example'])).toThrow('proxy.example');
});

import { expect, test } from 'vitest';
import { classifyAddress } from '../../../../src/access/web-identity/address-class.ts';

const CASES: readonly [expected: string, addresses: readonly string[]][] = [
  ['public', ['8.8.8.8', '93.184.216.34', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1']],
  ['private', ['127.0.0.1', '127.8.9.1', '10.1.2.3', '172.31.255.255', '192.168.0.1', '100.64.0.1', '::1', 'fd12::1']],
  [
    'forbidden',
    [
      '169.254.169.254',
      '0.0.0.0',
      '255.255.255.255',
      '224.0.0.1',
      '192.0.2.1',
      '198.18.0.1',
      'fe80::1',
      'ff02::1',
      '::',
      '::ffff:8.8.8.8',
      '::ffff:169.254.169.254',
      '64:ff9b::a9fe:a9fe',
      '2002:a9fe:a9fe::1',
      '2001:0:1::1',
      '2001:db8::1',
      'login.example',
      '2130706433',
      '',
    ],
  ],
];

test.each(CASES)('%s: each of these addresses', (expected, addresses) => {
  expect(addresses.map((address) => [address, classifyAddress(address)])).toEqual(
    addresses.map((address) => [address, expected]),
  );
});

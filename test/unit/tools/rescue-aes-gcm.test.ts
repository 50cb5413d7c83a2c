import { spawnSync } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../../repository/tracked-files.ts';

/** The rescue reader's own AES-256-GCM, in Python: what Python has none of. */
interface Sealed {
  key: string;
  nonce: string;
  additional: string;
  sealed: string;
  tag: string;
}

const SCRIPT = `
import json, sys
sys.path.insert(0, sys.argv[1])
import aes_gcm
hexed = bytes.fromhex
cipher = getattr(aes_gcm, sys.argv[2])
if cipher is aes_gcm.NativeAesGcm and aes_gcm._libcrypto() is None:
    print('"absent"')
    sys.exit()
def opened(case):
    try:
        parts = [hexed(case[name]) for name in ('nonce', 'sealed', 'tag', 'additional')]
        return cipher(hexed(case['key'])).open(*parts).hex()
    except aes_gcm.WrongTag:
        return 'wrong tag'
print(json.dumps([opened(case) for case in json.load(sys.stdin)]))
`;

function openAll(cipher: 'PureAesGcm' | 'NativeAesGcm', cases: readonly Sealed[]): string[] | 'absent' {
  const where = join(repositoryRoot, 'tools/rescue');
  const { stdout, stderr, status } = spawnSync('python3', ['-c', SCRIPT, where, cipher], {
    input: JSON.stringify(cases),
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as string[] | 'absent';
}

const KEY = 'feffe9928665731c6d6a8f9467308308'.repeat(2);
const NONCE = 'cafebabefacedbaddecaf888';
const PLAIN =
  'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255';
const SEALED =
  '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad';
const NO_KEY = '00'.repeat(32);
const NO_NONCE = '00'.repeat(12);

/** Cases 13 to 16 of the description of GCM that NIST took as SP 800-38D. */
const KNOWN: readonly (Sealed & { plain: string })[] = [
  { key: NO_KEY, nonce: NO_NONCE, additional: '', plain: '', sealed: '', tag: '530f8afbc74536b9a963b4f1c4cb738b' },
  {
    key: NO_KEY,
    nonce: NO_NONCE,
    additional: '',
    plain: '00'.repeat(16),
    sealed: 'cea7403d4d606b6e074ec5d3baf39d18',
    tag: 'd0d1c8a799996bf0265b98b5d48ab919',
  },
  { key: KEY, nonce: NONCE, additional: '', plain: PLAIN, sealed: SEALED, tag: 'b094dac5d93471bdec1a502270e3cc6c' },
  {
    key: KEY,
    nonce: NONCE,
    additional: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    plain: PLAIN.slice(0, 120),
    sealed: SEALED.slice(0, 120),
    tag: '76fc6ece0f4e1768cddf8853bb2d551b',
  },
];

function seal(plain: Buffer, additional: Buffer): Sealed {
  const [key, nonce] = [randomBytes(32), randomBytes(12)];
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  cipher.setAAD(additional);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  const hex = (bytes: Buffer): string => bytes.toString('hex');
  const tag = cipher.getAuthTag();
  return { key: hex(key), nonce: hex(nonce), additional: hex(additional), sealed: hex(sealed), tag: hex(tag) };
}

function changed(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  bytes[bytes.length - 1]! ^= 1;
  return bytes.toString('hex');
}

test.each(['PureAesGcm', 'NativeAesGcm'] as const)('%s opens the known examples, and what OpenSSL sealed', (cipher) => {
  const plains = [1, 15, 16, 17, 100, 5000].map((size) => randomBytes(size));
  const cases = [...KNOWN, ...plains.map((plain, index) => seal(plain, randomBytes(7 * index)))];
  const opened = openAll(cipher, cases);
  if (opened === 'absent') return;
  expect(opened).toEqual([...KNOWN.map(({ plain }) => plain), ...plains.map((plain) => plain.toString('hex'))]);
});

test.each(['PureAesGcm', 'NativeAesGcm'] as const)(
  '%s opens nothing that was changed, nor with a short tag',
  (cipher) => {
    const good = seal(randomBytes(100), randomBytes(20));
    const bad = [
      ...(['key', 'nonce', 'additional', 'sealed', 'tag'] as const).map((what) => ({
        ...good,
        [what]: changed(good[what]),
      })),
      { ...good, tag: good.tag.slice(0, 24) },
      { ...good, tag: '' },
      { ...good, sealed: good.sealed.slice(2) },
    ];
    const opened = openAll(cipher, bad);
    if (opened === 'absent') return;
    expect(opened).toEqual(bad.map(() => 'wrong tag'));
  },
);

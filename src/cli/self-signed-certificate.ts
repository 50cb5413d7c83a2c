import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import {
  BitString,
  Boolean as Asn1Boolean,
  Constructed,
  GeneralizedTime,
  Integer,
  ObjectIdentifier,
  OctetString,
  Primitive,
  Sequence,
  Set as Asn1Set,
  UTCTime,
  Utf8String,
  fromBER,
} from 'asn1js';

type Asn1 = Sequence['valueBlock']['value'][number];

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  subjectAltName: '2.5.29.17',
} as const;

export interface SelfSignedOptions {
  /** Host names and IP addresses; at least one, the first becomes the common name. */
  hosts: readonly string[];
  notBefore: Date;
  notAfter: Date;
  /** 16 random bytes. */
  serialNumber: Buffer;
}

/** A certificate (RFC 5280, version 3, ECDSA P-256) signed by its own new key, as PEM. It is its own authority. */
export function makeSelfSignedCertificate(options: SelfSignedOptions): { certificatePem: string; keyPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const body = certificateBody(options, publicKey);
  const signature = sign('sha256', Buffer.from(body.toBER()), { key: privateKey, dsaEncoding: 'der' });
  const certificate = sequence(body, algorithm(), new BitString({ valueHex: arrayBuffer(signature) }));
  return {
    certificatePem: pem('CERTIFICATE', Buffer.from(certificate.toBER())),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function certificateBody(options: SelfSignedOptions, publicKey: KeyObject): Sequence {
  const name = sequence(
    new Asn1Set({ value: [sequence(oid(OID.commonName), new Utf8String({ value: options.hosts[0] ?? '' }))] }),
  );
  const version = new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [new Integer({ value: 2 })] });
  // The top bit cleared keeps the number positive, the next one set keeps it from beginning with zeros.
  const serial = Buffer.from(options.serialNumber);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return sequence(
    version,
    new Integer({ valueHex: arrayBuffer(serial) }),
    algorithm(),
    name,
    sequence(time(options.notBefore), time(options.notAfter)),
    name,
    fromBER(arrayBuffer(publicKey.export({ type: 'spki', format: 'der' }))).result,
    new Constructed({ idBlock: { tagClass: 3, tagNumber: 3 }, value: [extensions(options.hosts)] }),
  );
}

function extensions(hosts: readonly string[]): Sequence {
  const digitalSignatureAndCertSign = new BitString({ valueHex: arrayBuffer(Buffer.from([0x84])), unusedBits: 2 });
  return sequence(
    extension(OID.basicConstraints, true, sequence(new Asn1Boolean({ value: true }))),
    extension(OID.keyUsage, true, digitalSignatureAndCertSign),
    extension(OID.extendedKeyUsage, false, sequence(oid(OID.serverAuth))),
    extension(OID.subjectAltName, false, sequence(...hosts.map(alternativeName))),
  );
}

function extension(id: string, isCritical: boolean, value: Asn1): Sequence {
  const content = new OctetString({ valueHex: value.toBER() });
  return isCritical ? sequence(oid(id), new Asn1Boolean({ value: true }), content) : sequence(oid(id), content);
}

/** GeneralName: [2] a DNS name, [7] the bytes of an address. */
function alternativeName(host: string): Primitive {
  const isAddress = isIP(host) !== 0;
  const bytes = isAddress ? addressBytes(host) : Buffer.from(host, 'ascii');
  return new Primitive({ idBlock: { tagClass: 3, tagNumber: isAddress ? 7 : 2 }, valueHex: arrayBuffer(bytes) });
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // The URL parser turns every way to write an IPv6 address into the shortest one, all groups in hex.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => parseInt(group, 16)));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const bytes = Buffer.alloc(16);
  before.forEach((group, index) => bytes.writeUInt16BE(group, index * 2));
  after.forEach((group, index) => bytes.writeUInt16BE(group, 16 - (after.length - index) * 2));
  return bytes;
}

/** UTCTime until 2049, as RFC 5280 §4.1.2.5 asks. */
function time(date: Date): UTCTime | GeneralizedTime {
  return date.getUTCFullYear() < 2050 ? new UTCTime({ valueDate: date }) : new GeneralizedTime({ valueDate: date });
}

function algorithm(): Sequence {
  return sequence(oid(OID.ecdsaWithSha256));
}

function sequence(...value: Asn1[]): Sequence {
  return new Sequence({ value });
}

function oid(value: string): ObjectIdentifier {
  return new ObjectIdentifier({ value });
}

function arrayBuffer(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

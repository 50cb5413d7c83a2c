"""Sealed documents, the key ring, and the bodies of encrypted objects. docs/ON-DISK-FORMAT.md, sections 5.4 and 14."""

import base64
import hashlib
import hmac
import json
import os

from aes_gcm import TAG_BYTES, WrongTag, aes_gcm_of, open_aes_gcm
from disks import compact
from volumes import Unreadable
from wire import Malformed, NewerFormat, Reader

_PACKAGE_BYTES = 65536
_MODES = {1: 'AES256', 2: 'aws:kms', 3: 'SSE-C'}
KEY_RING = ('encryption', 'key-ring')


class Encryption:
    """How one version is encrypted, as its details tell it."""

    def __init__(self, data):
        reader = Reader(data)
        version = reader.byte()
        if version > 1:
            raise NewerFormat(f'an encryption has format {version}; this reader knows 1')
        self.mode = _MODES.get(reader.byte())
        self.seed = reader.take(12)
        self.sealed_data_key = reader.bytes()
        self.salts = reader.list(lambda: reader.take(16))
        if self.mode == 'AES256':
            self.key_version = reader.varint()
        elif self.mode == 'aws:kms':
            self.key_arn, self.sealed_wrapping_key, self.context = reader.string(), reader.bytes(), reader.string()
            reader.byte()
        elif self.mode == 'SSE-C':
            self.key_md5 = reader.take(16)
        else:
            raise NewerFormat('an encryption has a mode that this reader does not know')


class Keys:
    """What was given to open things with, and what the key ring has."""

    def __init__(self, master_key, customer_keys):
        self._master_key = master_key
        self._customer_keys = {hashlib.md5(key, usedforsecurity=False).digest(): key for key in customer_keys}
        self._ring = None

    def open_ring(self, cluster_id, document, disks, warn):
        """`document`: the ring as the journal has it; without one the newest copy on the disks is taken."""
        document = document or newest_copy(disks, cluster_id)
        if self._master_key is None or document is None:
            return
        try:
            self._ring = json.loads(open_document(document, self._master_key, cluster_id, KEY_RING))
        except Unreadable as error:
            warn(f'the key ring: {error}')

    def open_body(self, encryption, bucket_id, key, blobs):
        """The plain bytes of `blobs`, pairs of a size and pieces: each blob one stream. @raises Unreadable"""
        filled = [(size, pieces) for size, pieces in blobs if size > 0]
        if len(filled) != len(encryption.salts):
            raise Malformed('an encryption does not fit its blobs')
        if not filled:
            return
        data_key = self._data_key(encryption, bucket_id, key)
        for salt, (size, pieces) in zip(encryption.salts, filled):
            yield from _open_stream(hmac.digest(data_key, b'holdfast stream v1\0' + salt, 'sha256'), size, pieces)

    def _data_key(self, encryption, bucket_id, key):
        binding = b'version\0%d\0%s\0%s' % (bucket_id, encryption.seed.hex().encode(), key)
        return _open_data_key(encryption.sealed_data_key, self._wrapping_key(encryption), binding)

    def _wrapping_key(self, encryption):
        if encryption.mode == 'SSE-C':
            key = self._customer_keys.get(encryption.key_md5)
            if key is None:
                md5 = base64.b64encode(encryption.key_md5).decode()
                raise Unreadable(f'it is encrypted with the customer key whose MD5 is {md5}: give it with --customer-key')
            return key
        if encryption.mode == 'AES256':
            return self._material(self._open_ring()['serverVersions'], encryption.key_version)
        name = encryption.key_arn.split(':key/')[-1]
        named = [key for key in self._open_ring()['keys'] if key['name'] == name]
        sealed = encryption.sealed_wrapping_key
        if not named or len(sealed) != 4 + 112:
            raise Unreadable(f'it is encrypted with {encryption.key_arn}, which the key ring does not have')
        material = self._material(named[0]['versions'], int.from_bytes(sealed[:4], 'big'))
        return _open_data_key(sealed[4:], material, f'kms\0{name}\0{encryption.context}'.encode())

    def _open_ring(self):
        if self._ring is None:
            raise Unreadable('it is encrypted, and there is no key ring that opens: give --master-key')
        return self._ring

    @staticmethod
    def _material(versions, number):
        for version in versions:
            if version['version'] == number:
                return base64.b64decode(version['material'])
        raise Unreadable(f'the key ring has no version {number} of its key')


def open_document(document, master_key, cluster_id, address):
    """A sealed document. @raises Unreadable"""
    envelope = json.loads(document)
    if envelope['version'] > 1:
        raise NewerFormat(f'a sealed document has version {envelope["version"]}; this reader knows 1')
    fingerprint = hmac.digest(master_key, b'holdfast master key fingerprint v1', 'sha256').hex()[:16]
    if envelope['keyFingerprint'] != fingerprint:
        raise Unreadable('it was sealed with another master key')
    extracted = hmac.digest(cluster_id.encode(), master_key, 'sha256')
    key = hmac.digest(extracted, b'holdfast sealed documents v1\x01', 'sha256')
    sealed = base64.b64decode(envelope['sealed'])
    additional = compact(['holdfast', 1, cluster_id, *address]).encode()
    try:
        return open_aes_gcm(key, sealed[:12], sealed[12:-TAG_BYTES], sealed[-TAG_BYTES:], additional)
    except WrongTag as error:
        raise Unreadable('it was changed or damaged') from error


def _open_data_key(sealed, wrapping_key, binding):
    if len(sealed) != 112:
        raise Malformed('a sealed data key has another length')
    derived = hmac.digest(wrapping_key, b'holdfast data key v1\0' + sealed[:32] + binding, 'sha512')
    if not hmac.compare_digest(derived[32:], sealed[32:64]):
        raise Unreadable('its data key was sealed with another key, or for another object')
    try:
        return open_aes_gcm(derived[:32], bytes(12), sealed[64:96], sealed[96:])
    except WrongTag as error:
        raise Unreadable('its data key does not open') from error


def _open_stream(key, size, pieces):
    """@raises Unreadable: nothing of a package is given whose tag is wrong"""
    cipher = aes_gcm_of(key)
    sealed_bytes = _PACKAGE_BYTES + TAG_BYTES
    count = (size + sealed_bytes - 1) // sealed_bytes
    index = 0
    pending = bytearray()

    def open_next(package):
        nonce = bytes(3) + index.to_bytes(8, 'big') + (b'\1' if index == count - 1 else b'\0')
        try:
            return cipher.open(nonce, package[:-TAG_BYTES], package[-TAG_BYTES:])
        except WrongTag as error:
            raise Unreadable(f'package {index} is not what was sealed there') from error

    for piece in pieces:
        pending += piece
        while len(pending) >= sealed_bytes:
            yield open_next(bytes(pending[:sealed_bytes]))
            del pending[:sealed_bytes]
            index += 1
    if pending:
        yield open_next(bytes(pending))
        index += 1
    if index != count:
        raise Unreadable('its end is missing')


def newest_copy(disks, cluster_id):
    """The sealed key ring that the disks have beside their journals, or None."""
    newest = None
    for disk in disks.values():
        try:
            with open(disk.file('key-ring'), encoding='utf-8') as file:
                copy = json.load(file)
            checksum = copy.pop('checksum')
        except (OSError, ValueError, KeyError, AttributeError):
            continue
        is_good = hashlib.sha256(compact(copy).encode()).hexdigest() == checksum
        if not is_good or copy['version'] != 1 or copy['clusterId'] != cluster_id:
            continue
        if newest is None or copy['revision'] > newest['revision']:
            newest = copy
    return None if newest is None else newest['document']


def read_key(path, forms):
    """A key of 32 bytes from a file: as hex, as Base64 or raw, as far as `forms` allow. @raises ValueError"""
    with open(os.path.expanduser(path), 'rb') as file:
        content = file.read(4096)
    text = content.strip()
    if 'hex' in forms and len(text) == 64:
        return bytes.fromhex(text.decode('ascii'))
    if 'base64' in forms and len(text) == 44:
        return base64.b64decode(text, validate=True)
    if 'raw' in forms and len(content) == 32:
        return content
    raise ValueError(f'{path} does not hold a key of 32 bytes as {" or ".join(forms)}')

"""Opening AES-256-GCM (FIPS 197, NIST SP 800-38D), which Python's standard library does not have.

`PureAesGcm` needs nothing and opens about half a MiB a second. `NativeAesGcm` calls OpenSSL's libcrypto where one is found
and gives the right answer for a known example; `open_aes_gcm` takes it when it can. Nonces have 12 bytes, tags 16.
"""

import ctypes
import ctypes.util
import functools
import hmac
import struct

TAG_BYTES = 16


class WrongTag(Exception):
    """The bytes are not what was sealed with this key, nonce and additional data."""


def _make_tables():
    """The S-box, and what one byte contributes to a column of a round: S-box and MixColumns in one."""
    sbox = [0] * 256
    p = q = 1
    while True:
        p = (p ^ (p << 1) ^ (0x1B if p & 0x80 else 0)) & 0xFF
        q = (q ^ (q << 1)) & 0xFF
        q = (q ^ (q << 2)) & 0xFF
        q = (q ^ (q << 4)) & 0xFF
        if q & 0x80:
            q ^= 0x09
        rotated = q | q << 8
        sbox[p] = (q ^ (rotated >> 7) ^ (rotated >> 6) ^ (rotated >> 5) ^ (rotated >> 4)) & 0xFF ^ 0x63
        if p == 1:
            break
    sbox[0] = 0x63
    columns = [[], [], [], []]
    for s in sbox:
        double = (s << 1 ^ (0x1B if s & 0x80 else 0)) & 0xFF
        column = double << 24 | s << 16 | s << 8 | (double ^ s)
        for turn in range(4):
            columns[turn].append((column >> 8 * turn | column << 32 - 8 * turn) & 0xFFFFFFFF)
    return sbox, columns


_SBOX, (_T0, _T1, _T2, _T3) = _make_tables()


def _expand_key(key):
    def substitute(word):
        return (
            _SBOX[word >> 24] << 24 | _SBOX[word >> 16 & 255] << 16 | _SBOX[word >> 8 & 255] << 8 | _SBOX[word & 255]
        )

    words = list(struct.unpack('>8I', key))
    constant = 1
    for index in range(8, 60):
        word = words[index - 1]
        if index % 8 == 0:
            word = substitute((word << 8 | word >> 24) & 0xFFFFFFFF) ^ constant << 24
            constant <<= 1
        elif index % 8 == 4:
            word = substitute(word)
        words.append(words[index - 8] ^ word)
    return words


class PureAesGcm:
    """One key of 32 bytes."""

    def __init__(self, key):
        if len(key) != 32:
            raise ValueError('a key has 32 bytes')
        self._round_keys = _expand_key(key)
        self._products = _multiples_of(int.from_bytes(self._encrypt(0, 0, 0, 0), 'big'))

    def open(self, nonce, data, tag, additional=b''):
        """@raises WrongTag"""
        a, b, c = struct.unpack('>3I', nonce)
        expected = self._hash(additional, data) ^ int.from_bytes(self._encrypt(a, b, c, 1), 'big')
        if len(tag) != TAG_BYTES or not hmac.compare_digest(expected.to_bytes(16, 'big'), bytes(tag)):
            raise WrongTag()
        count = (len(data) + 15) // 16
        stream = b''.join(self._encrypt(a, b, c, 2 + block & 0xFFFFFFFF) for block in range(count))[: len(data)]
        return (int.from_bytes(data, 'big') ^ int.from_bytes(stream, 'big')).to_bytes(len(data), 'big')

    def _encrypt(self, a, b, c, d):
        """One block, given and rounded as four big-endian words."""
        keys = self._round_keys
        t0, t1, t2, t3, sbox = _T0, _T1, _T2, _T3, _SBOX
        a, b, c, d = a ^ keys[0], b ^ keys[1], c ^ keys[2], d ^ keys[3]
        for at in range(4, 56, 4):
            a, b, c, d = (
                t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ keys[at],
                t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ keys[at + 1],
                t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ keys[at + 2],
                t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ keys[at + 3],
            )
        return struct.pack(
            '>4I',
            (sbox[a >> 24] << 24 | sbox[b >> 16 & 255] << 16 | sbox[c >> 8 & 255] << 8 | sbox[d & 255]) ^ keys[56],
            (sbox[b >> 24] << 24 | sbox[c >> 16 & 255] << 16 | sbox[d >> 8 & 255] << 8 | sbox[a & 255]) ^ keys[57],
            (sbox[c >> 24] << 24 | sbox[d >> 16 & 255] << 16 | sbox[a >> 8 & 255] << 8 | sbox[b & 255]) ^ keys[58],
            (sbox[d >> 24] << 24 | sbox[a >> 16 & 255] << 16 | sbox[b >> 8 & 255] << 8 | sbox[c & 255]) ^ keys[59],
        )

    def _hash(self, additional, data):
        """GHASH."""
        products = self._products
        value = 0
        lengths = struct.pack('>2Q', 8 * len(additional), 8 * len(data))
        for part in (additional, data, lengths):
            for at in range(0, len(part), 16):
                block = part[at : at + 16]
                value ^= int.from_bytes(block, 'big') << 8 * (16 - len(block))
                result = 0
                for table, byte in zip(products, value.to_bytes(16, 'big')):
                    result ^= table[byte]
                value = result
        return value


def _multiples_of(h):
    """products[i][byte] = (byte in place i of a block) · h in GF(2^128) as GCM writes it: the first bit is x^0."""
    powers = []
    for _ in range(128):
        powers.append(h)
        h = h >> 1 ^ (0xE1 << 120 if h & 1 else 0)
    products = []
    for place in range(16):
        table = [0] * 256
        for bit in range(8):
            table[0x80 >> bit] = powers[8 * place + bit]
        for byte in range(1, 256):
            lowest = byte & -byte
            table[byte] = table[byte ^ lowest] ^ table[lowest]
        products.append(table)
    return products


class NativeAesGcm:
    """The same by OpenSSL's libcrypto."""

    def __init__(self, key):
        self._key = key
        self._library = _libcrypto()
        if self._library is None:
            raise OSError('no libcrypto')

    def open(self, nonce, data, tag, additional=b''):
        """@raises WrongTag"""
        library = self._library
        context = library.EVP_CIPHER_CTX_new()
        target = ctypes.create_string_buffer(len(data) + 16)
        length = ctypes.c_int(0)
        set_tag = 0x11
        try:
            is_right = (
                len(tag) == TAG_BYTES
                and library.EVP_DecryptInit_ex(context, library.EVP_aes_256_gcm(), None, self._key, bytes(nonce)) == 1
                and library.EVP_DecryptUpdate(context, None, length, bytes(additional), len(additional)) == 1
                and library.EVP_DecryptUpdate(context, target, length, bytes(data), len(data)) == 1
                and library.EVP_CIPHER_CTX_ctrl(context, set_tag, TAG_BYTES, bytes(tag)) == 1
                and library.EVP_DecryptFinal_ex(context, ctypes.create_string_buffer(16), length) == 1
            )
        finally:
            library.EVP_CIPHER_CTX_free(context)
        if not is_right:
            raise WrongTag()
        return target.raw[: len(data)]


@functools.lru_cache(maxsize=1)
def _libcrypto():
    name = ctypes.util.find_library('crypto')
    try:
        library = ctypes.CDLL(name) if name else None
        if library is None:
            return None
        pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
        length = ctypes.POINTER(ctypes.c_int)
        for function, answer, takes in (
            ('EVP_CIPHER_CTX_new', pointer, []),
            ('EVP_CIPHER_CTX_free', None, [pointer]),
            ('EVP_aes_256_gcm', pointer, []),
            ('EVP_DecryptInit_ex', number, [pointer, pointer, pointer, text, text]),
            ('EVP_DecryptUpdate', number, [pointer, text, length, text, number]),
            ('EVP_CIPHER_CTX_ctrl', number, [pointer, number, number, text]),
            ('EVP_DecryptFinal_ex', number, [pointer, text, length]),
        ):
            found = getattr(library, function)
            found.restype, found.argtypes = answer, takes
        return library
    except (OSError, AttributeError):
        return None


@functools.lru_cache(maxsize=1)
def _fastest():
    """The known example is case 14 of the description of GCM that was submitted to NIST."""
    data, tag = bytes.fromhex('cea7403d4d606b6e074ec5d3baf39d18'), bytes.fromhex('d0d1c8a799996bf0265b98b5d48ab919')
    try:
        if NativeAesGcm(bytes(32)).open(bytes(12), data, tag) == bytes(16):
            return NativeAesGcm
    except (OSError, WrongTag):
        pass
    return PureAesGcm


def open_aes_gcm(key, nonce, data, tag, additional=b''):
    """@raises WrongTag"""
    return aes_gcm_of(key).open(nonce, data, tag, additional)


@functools.lru_cache(maxsize=16)
def aes_gcm_of(key):
    return _fastest()(key)

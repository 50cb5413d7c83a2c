"""Reading blobs out of shard files. docs/ON-DISK-FORMAT.md, sections 8, 9 and 11."""

import json
import struct
from collections import OrderedDict

from crc32c import body_seed, crc32c
from erasure import Code
from wire import NewerFormat, Reader

_SHARD = struct.Struct('<4sIBBBBBBHQIIQQII8s')
_OPEN_FILES = 256
SMALL, LARGE = 1, 2


class Unreadable(Exception):
    """Fewer good shards than the code needs."""


class VolumeReader:
    def __init__(self, disks, state):
        self._disks, self._state = disks, state
        self._slots = {}
        self._files = OrderedDict()
        self.rebuilt_count = 0

    def read(self, layout):
        """The body of a blob, in verified pieces. @raises Unreadable"""
        reader = Reader(layout)
        kind = reader.byte()
        if kind == SMALL:
            yield self._read_small(reader)
        elif kind == LARGE:
            yield from self._read_large(reader)
        else:
            raise NewerFormat(f'a layout has type {kind}; this reader knows 1 and 2')

    def _read_small(self, reader):
        volume_id, k, m = reader.varint(), reader.byte(), reader.byte()
        length = reader.varint() * 64
        places = [(0, reader.varint() * 64)]
        places[0] = (reader.byte(), places[0][1])
        for _ in range(k + m - 1):
            slot = reader.byte()
            places.append((slot, places[0][1] + reader.signed() * 64))
        index, at, size, _descriptor = reader.byte(), reader.varint(), reader.varint(), reader.varint()
        crc = reader.u32()
        slot, offset = places[index]
        seed = body_seed(volume_id, slot, offset + at)
        body = self._pread(volume_id, slot, offset + at, size)
        if body is not None and crc32c(body, seed) == crc:
            return body
        self.rebuilt_count += 1
        shards = {}
        header_length = 0
        for other, (other_slot, other_offset) in enumerate(places):
            if other == index or len(shards) == k:
                continue
            shard = self._shard(volume_id, other_slot, other_offset, length, SMALL, k, m, other)
            if shard is not None:
                header_length = shard.header_length
                shards[other] = shard.payload
        if len(shards) < k:
            raise Unreadable(f'{len(shards)} of {k} shards are good')
        payload = Code.of(k, m).rebuild(index, shards)
        body = payload[at - header_length : at - header_length + size]
        if crc32c(body, seed) != crc:
            raise Unreadable('the rebuilt body has another checksum')
        return body

    def _read_large(self, reader):
        reader.varint()
        for _ in range(reader.varint()):
            volume_id, k, m, width = reader.varint(), reader.byte(), reader.byte(), reader.byte()
            first, length, offset, count = reader.varint(), reader.varint() * 4096, reader.varint() * 4096, reader.varint()
            last_bytes = reader.varint()
            for j in range(count):
                size = last_bytes if j == count - 1 else k * (length - 512)
                yield self._read_stripe(
                    volume_id, k, m, width, first + j, length, offset + j * length, reader.u32()
                )[:size]

    def _read_stripe(self, volume_id, k, m, width, stripe, length, offset, stripe_crc):
        shards = {}
        for index in range(k + m):
            if len(shards) == k:
                break
            shard = self._shard(volume_id, (index + stripe) % width, offset, length, LARGE, k, m, index)
            if shard is not None and crc32c(b''.join(struct.pack('<I', crc) for crc in shard.crcs[:k])) == stripe_crc:
                shards[index] = shard.payload
        if len(shards) < k:
            raise Unreadable(f'{len(shards)} of {k} shards of stripe {stripe} are good')
        if any(index >= k for index in shards):
            self.rebuilt_count += 1
        code = Code.of(k, m)
        return b''.join(code.rebuild(index, shards) for index in range(k))

    def _shard(self, volume_id, slot, offset, length, kind, k, m, index):
        """A good shard with its payload, or None."""
        data = self._pread(volume_id, slot, offset, length)
        if data is None or data[:4] != b'HFSs':
            return None
        _, crc, version, own_kind, own_k, own_m, own_index, _, header_length, own_volume, *_ = _SHARD.unpack_from(data)
        if not 64 <= header_length <= length or crc32c(data[8:header_length]) != crc:
            return None
        if version > 1:
            raise NewerFormat(f'a shard has version {version}; this reader knows 1')
        own_length = struct.unpack_from('<I', data, 28)[0]
        if (own_volume, own_kind, own_k, own_m, own_index, own_length) != (volume_id, kind, k, m, index, length):
            return None
        n = k + m
        crcs = struct.unpack_from(f'<{n}I', data, 64)
        own_offset = struct.unpack_from('<I', data, 64 + 4 * n + 4 * index)[0] * 64
        if own_offset != offset or data[64 + 8 * n + index] != slot:
            return None
        payload = data[header_length:]
        return Shard(header_length, payload, crcs) if crc32c(payload) == crcs[index] else None

    def _pread(self, volume_id, slot, offset, size):
        """Exactly `size` bytes, or None for whatever reason."""
        file = self._file(volume_id, slot)
        if file is None:
            return None
        try:
            file.seek(offset)
            data = file.read(size)
        except OSError:
            return None
        return data if len(data) == size else None

    def _file(self, volume_id, slot):
        key = volume_id, slot
        if key in self._files:
            self._files.move_to_end(key)
            return self._files[key]
        file = None
        disk = self._disks.get(self._disk_ids(volume_id)[slot])
        if disk is not None:
            for suffix in ('', '.moved'):
                try:
                    file = open(disk.file('volumes', f'{volume_id:014x}.shard{suffix}'), 'rb', buffering=0)
                    break
                except OSError:
                    file = None
        self._files[key] = file
        if len(self._files) > _OPEN_FILES:
            _, oldest = self._files.popitem(last=False)
            if oldest is not None:
                oldest.close()
        return file

    def _disk_ids(self, volume_id):
        if volume_id not in self._slots:
            row = self._state.db.execute('SELECT disk_ids FROM volumes WHERE volume_id = ?', (volume_id,)).fetchone()
            if row is None:
                raise Unreadable(f'volume {volume_id:014x} is not known')
            self._slots[volume_id] = json.loads(row[0])
        return self._slots[volume_id]


class Shard:
    __slots__ = ('header_length', 'payload', 'crcs')

    def __init__(self, header_length, payload, crcs):
        self.header_length, self.payload, self.crcs = header_length, payload, crcs

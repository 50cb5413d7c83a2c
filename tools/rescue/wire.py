"""The field types of records, layouts and descriptors. docs/ON-DISK-FORMAT.md, section 1."""


class Malformed(Exception):
    """Bytes that do not follow the format; damage, not a newer version."""


class NewerFormat(Exception):
    """Written by a newer version of the server: never treated as damage."""


class Reader:
    def __init__(self, data):
        self._data = data
        self._at = 0

    @property
    def is_at_end(self):
        return self._at == len(self._data)

    def byte(self):
        if self._at >= len(self._data):
            raise Malformed('a field reaches over the end')
        self._at += 1
        return self._data[self._at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 56:
                raise Malformed('a varint is too long')

    def signed(self):
        value = self.varint()
        return -(value + 1) // 2 if value & 1 else value // 2

    def take(self, count):
        end = self._at + count
        if end > len(self._data):
            raise Malformed('a field reaches over the end')
        taken = self._data[self._at : end]
        self._at = end
        return bytes(taken)

    def bytes(self):
        return self.take(self.varint())

    def string(self):
        return self.bytes().decode('utf-8')

    def u32(self):
        return int.from_bytes(self.take(4), 'little')

    def list(self, item):
        return [item() for _ in range(self.varint())]

    def optional(self, item):
        return item() if self.byte() else None


def varints(data):
    """Varints one after the other, to the end."""
    reader = Reader(data)
    values = []
    while not reader.is_at_end:
        values.append(reader.varint())
    return values


def encode_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

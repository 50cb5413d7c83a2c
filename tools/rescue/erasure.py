"""Reed-Solomon as a bit matrix. docs/ON-DISK-FORMAT.md, section 10."""

_PARAMETERS = """
1 | 2 7   | 2 7   | 2 7 0 1       | 4 19 0 1      | 4 19 0 1      | 4 19 0 1
 2 | 2 7   | 2 7   | 4 19 0 4      | 4 19 0 5      | 4 19 2 9      | 4 19 4 10
 3 | 2 7   | 4 19  | 4 19 0 9      | 4 19 1 8      | 4 19 1 9      | 4 19 0 9
 4 | 4 19  | 4 19  | 4 19 0 9      | 4 19 3 11     | 4 19 3 11     | 4 19 11 4
 5 | 4 19  | 4 19  | 4 19 4 13     | 4 19 3 12     | 4 19 0 9      | 4 19 0 9
 6 | 4 19  | 4 19  | 4 19 2 12     | 4 19 2 12     | 4 19 0 9      | 4 19 0 9
 7 | 4 19  | 4 19  | 4 19 1 13     | 4 19 2 12     | 4 19 0 9      | 4 19 7 0
 8 | 4 19  | 4 19  | 4 19 2 13     | 4 19 2 12     | 4 19 0 9      | 4 19 0 8
 9 | 4 19  | 4 19  | 4 19 1 13     | 4 19 2 12     | 4 19 0 9      | 4 19 1 10
10 | 4 19  | 4 19  | 4 19 1 13     | 4 19 0 12     | 4 19 0 11     | 4 19 0 10
11 | 4 19  | 4 19  | 4 19 0 13     | 4 19 0 12     | 4 19 0 11     | 8 135 58 188
12 | 4 19  | 4 19  | 4 19 3 0      | 4 19 0 12     | 8 113 24 208  | 8 135 57 188
13 | 4 19  | 4 19  | 4 19 0 13     | 8 135 59 189  | 8 113 27 236  | 8 113 27 236
14 | 4 19  | 4 19  | 8 169 4 252   | 8 135 58 189  | 8 135 58 189  | 8 135 58 188
15 | 4 19  | 8 135 | 8 113 24 209  | 8 135 58 189  | 8 101 28 232  | 8 113 120 241
16 | 8 29  | 8 135 | 8 113 22 213  | 8 113 22 212  | 8 101 28 232  | 8 101 28 232
17 | 8 29  | 8 135 | 8 113 22 213  | 8 135 58 189  | 8 101 27 232  | 8 101 27 232
18 | 8 29  | 8 135 | 8 113 24 213  | 8 113 22 212  | 8 195 8 32    | 8 113 205 126
19 | 8 29  | 8 135 | 8 113 22 213  | 8 113 23 212  | 8 195 7 32    | 8 195 3 60
20 | 8 29  | 8 135 | 8 113 22 213  | 8 113 22 212  | 8 195 4 238   | 8 113 21 233
21 | 8 29  | 8 135 | 8 113 21 213  | 8 113 21 212  | 8 195 3 60    | 8 195 3 60
22 | 8 29  | 8 135 | 8 113 20 213  | 8 113 21 212  | 8 195 35 28   | 8 195 3 60
23 | 8 29  | 8 135 | 8 113 19 213  | 8 113 19 212  | 8 195 3 238   | 8 113 205 126
24 | 8 29  | 8 135 | 8 113 18 213  | 8 195 125 91  | 8 195 3 238   | 8 195 42 225
"""


def _parse(text):
    table = {}
    for line in text.strip().splitlines():
        k, *cells = line.split('|')
        for m, cell in enumerate(cells, 1):
            table[int(k), m] = tuple(int(number) for number in cell.split())
    return table


_TABLE = _parse(_PARAMETERS)


class _Field:
    def __init__(self, width, polynomial):
        self.width = width
        self.size = 1 << width
        self._polynomial = polynomial

    def double(self, element):
        element <<= 1
        if element & self.size:
            element ^= self._polynomial
        return element & (self.size - 1)

    def multiply(self, a, b):
        product = 0
        while b:
            if b & 1:
                product ^= a
            a = self.double(a)
            b >>= 1
        return product

    def inverse(self, element):
        return next(other for other in range(1, self.size) if self.multiply(element, other) == 1)

    def block(self, element):
        """Column s holds the bits of element x 2^s."""
        columns = []
        for _ in range(self.width):
            columns.append(element)
            element = self.double(element)
        return columns

    def ones(self, element):
        return sum(bin(column).count('1') for column in self.block(element))


def _matrix(k, m):
    width, polynomial, *rest = _TABLE[k, m]
    field = _Field(width, polynomial)
    if m == 1:
        return field, [[1] * k]
    if m == 2:
        best = sorted(range(1, field.size), key=lambda element: (field.ones(element), element))
        return field, [[1] * k, best[:k]]
    x, y = rest
    rows = [[field.inverse((y + r) ^ (x + c)) for c in range(k)] for r in range(m)]
    divisors = [field.inverse(element) for element in rows[0]]
    rows = [[field.multiply(element, divisors[c]) for c, element in enumerate(row)] for row in rows]
    chosen = [rows[0]]
    for row in rows[1:]:
        candidates = [row]
        for element in row:
            by = field.inverse(element)
            candidates.append([field.multiply(other, by) for other in row])
        chosen.append(min(candidates, key=lambda candidate: sum(map(field.ones, candidate))))
    return field, chosen


_codes = {}


class Code:
    """k data and m parity shards. Payloads are equally long; a lost one is rebuilt from any k others."""

    def __init__(self, k, m):
        self.k, self.m = k, m
        self._plans = {}
        if k == 1 or m == 0:
            self.width = 1
            return
        field, elements = _matrix(k, m)
        self.width = w = field.width
        # Row r w + b of the bit matrix as an integer: bit c w + s.
        self._parity_rows = [0] * (m * w)
        for r, row in enumerate(elements):
            for c, element in enumerate(row):
                for s, column in enumerate(field.block(element)):
                    for b in range(w):
                        if column >> b & 1:
                            self._parity_rows[r * w + b] |= 1 << (c * w + s)

    @staticmethod
    def of(k, m):
        if (k, m) not in _codes:
            _codes[k, m] = Code(k, m)
        return _codes[k, m]

    def rebuild(self, wanted, shards):
        """Payload of data shard `wanted` from `shards`: {shard index: payload}, at least k of them."""
        if wanted in shards:
            return shards[wanted]
        if self.k == 1:
            return next(iter(shards.values()))
        taken = tuple(sorted(shards)[: self.k])
        plan = self._plans.get((wanted, taken))
        if plan is None:
            plan = self._plans[wanted, taken] = self._plan(wanted, taken)
        length = len(shards[taken[0]])
        w, z = self.width, self._strip_bytes(length)
        pieces = []
        for group in range(0, length, w * z):
            strips = [
                int.from_bytes(shards[index][group + s * z : group + (s + 1) * z], 'little')
                for index in taken
                for s in range(w)
            ]
            for sources in plan:
                value = 0
                for source in sources:
                    value ^= strips[source]
                pieces.append(value.to_bytes(z, 'little'))
        return b''.join(pieces)

    def _strip_bytes(self, length):
        z = length // self.width
        while z > 64 and z % 2 == 0 and (1 + self.k * self.width) * z > 1048576:
            z //= 2
        return z

    def _plan(self, wanted, taken):
        """For each strip of `wanted` the strips of the taken shards whose XOR it is: Gauss-Jordan over GF(2)."""
        w, size = self.width, self.k * self.width
        rows = []
        for position, index in enumerate(taken):
            for s in range(w):
                row = 1 << (index * w + s) if index < self.k else self._parity_rows[(index - self.k) * w + s]
                rows.append([row, 1 << (position * w + s)])
        for column in range(size):
            pivot = next(i for i in range(column, size) if rows[i][0] >> column & 1)
            rows[column], rows[pivot] = rows[pivot], rows[column]
            for i in range(size):
                if i != column and rows[i][0] >> column & 1:
                    rows[i][0] ^= rows[column][0]
                    rows[i][1] ^= rows[column][1]
        return [
            [source for source in range(size) if rows[wanted * w + s][1] >> source & 1] for s in range(w)
        ]

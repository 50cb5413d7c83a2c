"""The journal: which chain of frames is the truth. docs/ON-DISK-FORMAT.md, sections 4 and 6."""

import hashlib
import json
import os
import re
import struct

from crc32c import crc32c
from disks import compact
from wire import NewerFormat

ALIGNMENT = 4096
CHECKPOINT_BLOCK = 1048576
_HEADER = struct.Struct('<4sIBBHIIIQQQ16sQQ16s16sdQ')
PAYLOAD, OPENING, CONFIGURATION, NOTE = range(4)


class TooFewDisks(Exception):
    """Acknowledged writes may be missing."""


def short_hash(data):
    return hashlib.sha256(data).digest()[:16]


class Frame:
    __slots__ = ('kind', 'epoch', 'sequence', 'hash', 'before', 'acknowledged', 'payload')

    def __init__(self, kind, epoch, sequence, digest, before, acknowledged, payload):
        self.kind, self.epoch, self.sequence, self.hash = kind, epoch, sequence, digest
        self.before, self.acknowledged, self.payload = before, acknowledged, payload


class DiskJournal:
    """What one disk holds: its good frames in order, and whether it may count."""

    def __init__(self, disk, state):
        self.disk, self.state = disk, state
        self.frames = []
        self.is_short = False
        self.has_damage = False

    @property
    def highest(self):
        if self.frames:
            last = self.frames[-1]
            return last.epoch, last.sequence, last.hash
        base = self.state['base']
        return base['epoch'], base['sequence'], bytes.fromhex(base['hash'])


def read_state(disk, warn):
    try:
        with open(disk.file('journal', 'state'), 'rb') as file:
            match = re.fullmatch(rb'([^\n]*)\n([0-9a-f]{8})\n', file.read())
    except OSError as error:
        warn(f'{disk.path}: no journal: {error.strerror}')
        return None
    if match is None or crc32c(match[1]) != int(match[2], 16):
        warn(f'{disk.path}: journal/state is damaged')
        return None
    state = json.loads(match[1])
    if state['format'] > 2:
        raise NewerFormat(f'{disk.path}: journal/state has format {state["format"]}; this reader knows 2')
    if state['clusterId'] != disk.cluster_id or state['diskId'] != disk.id:
        warn(f'{disk.path}: journal/state belongs to another disk')
        return None
    return state


def read_journal(disk, state, known, warn):
    """Scans the segments of one disk. `known`: frames by the SHA-256 of their bytes, shared by all disks."""
    journal = DiskJournal(disk, state)
    tag = short_hash(f'holdfast cluster {disk.cluster_id}'.encode())
    names = {}
    for name in os.listdir(disk.file('journal')):
        match = re.fullmatch(r'(\d{8,})-(\d{8,})\.seg', name)
        if match and int(match[1]) == state['generation'] and int(match[2]) >= state['firstSegment']:
            names[int(match[2])] = name
    for number in range(state['firstSegment'], state['lastSegment'] + 1):
        if number not in names:
            journal.is_short = True
    highest = state['base']['sequence']
    highest_hash = bytes.fromhex(state['base']['hash'])
    for number in sorted(names):
        with open(disk.file('journal', names[number]), 'rb') as file:
            segment = file.read()
        if len(segment) < state['segmentBytes']:
            journal.is_short = True
        at = 0
        while at + ALIGNMENT <= len(segment):
            frame, length = _parse_frame(segment, at, tag, known)
            if frame is not None and frame.sequence > highest:
                if frame.before != highest_hash:
                    journal.has_damage = True
                highest, highest_hash = frame.sequence, frame.hash
                journal.frames.append(frame)
            at += length
    if journal.is_short:
        warn(f'{disk.path}: segments of the journal are missing or short: it does not count')
    if journal.has_damage:
        warn(f'{disk.path}: the journal has a gap')
    return journal


def _parse_frame(segment, at, tag, known):
    """A good frame and its length, or none and one step."""
    if segment[at : at + 4] != b'HFJ1':
        return None, ALIGNMENT
    (
        _magic, crc, version, kind, _zero, length, payload_length, _zero2, epoch, sequence, _epoch_before, before,
        _ack_epoch, ack_sequence, ack_hash, cluster_tag, _written, _configuration,
    ) = _HEADER.unpack_from(segment, at)
    if length % ALIGNMENT or length < 128 + payload_length or at + length > len(segment) or cluster_tag != tag:
        return None, ALIGNMENT
    data = segment[at + 8 : at + length]
    digest = hashlib.sha256(data).digest()
    frame = known.get(digest)
    if frame is None:
        if crc32c(data) != crc:
            return None, ALIGNMENT
        if version > 1 or kind > NOTE:
            # Everything else is right: written by a newer server, no damage.
            raise NewerFormat(f'a journal frame has version {version}, kind {kind}; this reader knows 1 and 0 to 3')
        payload = bytes(segment[at + 128 : at + 128 + payload_length])
        frame = Frame(
            kind, epoch, sequence, short_hash(segment[at + 8 : at + 128 + payload_length]), before,
            (ack_sequence, ack_hash), payload,
        )
        known[digest] = frame
    return frame, length


class Chain:
    def __init__(self, frames, oldest_before, states):
        self.frames = frames
        self.oldest_before = oldest_before
        self.states = states
        self.positions = {oldest_before: -1} | {frame.hash: index for index, frame in enumerate(frames)}

    def after(self, position_hash):
        return self.frames[self.positions[position_hash] + 1 :]


def find_chain(disks, warn):
    """@raises TooFewDisks, with the chain as its second argument, when acknowledged writes may be missing."""
    known = {}
    journals = []
    for disk in disks.values():
        state = read_state(disk, warn)
        if state is not None:
            journals.append(read_journal(disk, state, known, warn))
    if not journals:
        raise TooFewDisks('no directory has a readable journal', None)
    lost = _declared_lost(journals)
    for disk_id in sorted(lost & {journal.disk.id for journal in journals}):
        warn(f'{disks[disk_id].path}: the disk was declared lost: nothing there counts')
    journals = [journal for journal in journals if journal.disk.id not in lost]
    if not journals:
        raise TooFewDisks('every directory with a journal was declared lost', None)
    by_hash = {frame.hash: frame for frame in known.values()}
    notes = [note for journal in journals for note in journal.state.get('voidNotes', [])]
    for journal in journals:
        while journal.frames and any(_is_void(journal.frames[-1], note) for note in notes):
            journal.frames.pop()
    tail = max(journals, key=lambda journal: journal.highest[:2]).highest
    frames = []
    digest = tail[2]
    while digest in by_hash:
        frame = by_hash[digest]
        frames.append(frame)
        digest = frame.before
    frames.reverse()
    chain = Chain(frames, digest, [(journal.disk, journal.state) for journal in journals])
    _check_quorum(journals, chain)
    return chain


def _declared_lost(journals):
    """Named by a configuration on any disk, unless that is void by what disks that it does not name have noted."""
    lost = set()
    for journal in journals:
        lost.update(journal.state['configuration'].get('lostDiskIds', []))
        for frame in journal.frames:
            if frame.kind != CONFIGURATION:
                continue
            named = json.loads(frame.payload).get('lostDiskIds', [])
            notes = [
                note for other in journals if other.disk.id not in named for note in other.state.get('voidNotes', [])
            ]
            if not any(_is_void(frame, note) for note in notes):
                lost.update(named)
    return lost


def _is_void(frame, note):
    """A start that could open no epoch has answered reads as if this frame had never been."""
    if frame.epoch > note['upToEpoch'] or frame.sequence <= note['afterSequence']:
        return False
    return not any(
        item['epoch'] == frame.epoch and item['upToSequence'] >= frame.sequence for item in note['known']
    )


def _check_quorum(journals, chain):
    newest_state = max((journal.state for journal in journals), key=lambda state: state['base']['sequence'])
    configurations = [(newest_state['base']['sequence'], newest_state['configuration'])]
    for frame in chain.frames:
        if frame.kind == CONFIGURATION and frame.sequence > configurations[0][0]:
            configurations.append((frame.sequence, json.loads(frame.payload)))
    acknowledged = max((frame.acknowledged for frame in chain.frames), default=(0, b''))
    needed = [configurations[-1][1]]
    if len(configurations) > 1 and configurations[-1][0] > acknowledged[0]:
        needed.append(configurations[-2][1])
    counting = set()
    for journal in journals:
        if journal.is_short:
            continue
        if journal.has_damage and journal.highest[2] not in chain.positions:
            continue
        counting.add(journal.disk.id)
    for configuration in needed:
        voters = configuration['journalDiskIds']
        present = counting & set(voters)
        if len(present) < len(voters) - configuration['m']:
            raise TooFewDisks(
                f'{len(present)} of {len(voters)} journals can be read, {len(voters) - configuration["m"]} are needed '
                'to know every acknowledged write',
                chain,
            )
    if acknowledged[1] and acknowledged[0] > 0 and acknowledged[1] not in chain.positions:
        if acknowledged[0] > chain.frames[0].sequence:
            raise TooFewDisks('frames name an acknowledged position that is not on the chain', chain)


def load_checkpoint(chain, disks, warn):
    """The newest usable snapshot as bytes with the hash of its position; (None, genesis hash) where none is needed."""
    entries = {}
    for disk, state in chain.states:
        for entry in state['checkpoints']:
            key = (entry['position']['sequence'], entry['position']['hash'], entry['sizeBytes'], entry['createdAtMs'])
            entries.setdefault(key, []).append((disk, entry))
    for key in sorted(entries, reverse=True):
        digest = bytes.fromhex(key[1])
        if digest not in chain.positions:
            continue
        data = _join_blocks(entries[key])
        if data is not None:
            return data, digest
        warn(f'the checkpoint at sequence {key[0]} is damaged on every disk')
    if not _is_genesis(chain, disks):
        raise TooFewDisks('the chain does not reach back to its beginning and no checkpoint is readable', chain)
    return None, chain.oldest_before


def _is_genesis(chain, disks):
    for disk in disks.values():
        identity = disk.identity
        for _, state in chain.states:
            for configuration in (state['configuration'], {**state['configuration'], 'diskIds': identity['diskIds']}):
                first = {name: configuration[name] for name in ('k', 'm', 'diskIds', 'journalDiskIds')}
                if short_hash(compact([disk.cluster_id, first]).encode()) == chain.oldest_before:
                    return True
    return any(frame.sequence == 1 for frame in chain.frames[:1])


def _join_blocks(holders):
    entry = holders[0][1]
    position = entry['position']
    tag = short_hash(f'holdfast cluster {holders[0][0].cluster_id}'.encode())
    binding = short_hash(
        compact([
            tag.hex(), position['epoch'], position['sequence'], position['hash'], entry['sizeBytes'], entry['createdAtMs'],
        ]).encode()
    )
    pieces = []
    count = max(1, -(-entry['sizeBytes'] // (CHECKPOINT_BLOCK - 32)))
    for number in range(count):
        for disk, own in holders:
            piece = _read_block(disk.file('journal', own['name']), number, binding)
            if piece is not None:
                pieces.append(piece)
                break
        else:
            return None
    data = b''.join(pieces)
    return data if len(data) == entry['sizeBytes'] else None


def _read_block(path, number, binding):
    try:
        with open(path, 'rb') as file:
            file.seek(number * CHECKPOINT_BLOCK)
            block = file.read(CHECKPOINT_BLOCK)
    except OSError:
        return None
    if len(block) < 32 or block[:4] != b'HFC1':
        return None
    crc, own_number, length = struct.unpack_from('<III', block, 4)
    block = block[: 32 + length]
    if own_number != number or block[16:32] != binding or crc32c(block[8:]) != crc:
        return None
    return block[32:]

#!/usr/bin/env python3
"""Reads objects off Holdfast disks without Holdfast: Python's standard library and docs/ON-DISK-FORMAT.md, nothing else.

    rescue.py list DISK...                     one JSON line for each version of each object, the newest of a key first
    rescue.py extract --to DIRECTORY DISK...   writes every version below DIRECTORY/BUCKET/, and DIRECTORY/objects.jsonl

Encrypted objects: --master-key FILE (the server's master.key, or its exported copy) opens those of SSE-S3 and of SSE-KMS
with the server's own keys, --customer-key FILE, given once for each key (32 bytes, raw or in Base64), those of SSE-C.

The current version of KEY goes to BUCKET/KEY, older ones to BUCKET/KEY%versions/VERSIONID; --latest leaves them out.
Any n - m of the directories are enough, in any order and under any names. Nothing is ever written to them. No server may
run on them meanwhile. Every byte is checked; an object that cannot be read whole leaves no file and is reported.
Exit code: 0 everything was there, 1 something is missing (named), 2 wrong usage or a newer format.
"""

import argparse
import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from disks import open_disks
from journal import TooFewDisks, find_chain, load_checkpoint
from sealed import KEY_RING, Encryption, Keys, read_key
from state import State, read_details, read_part_sizes
from volumes import Unreadable, VolumeReader
from wire import Malformed, NewerFormat

_SEGMENT_BYTES = 200


def warn(message):
    print(f'rescue: {message}', file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('command', choices=['list', 'extract'])
    parser.add_argument('disks', nargs='+', metavar='DISK')
    parser.add_argument('--to', metavar='DIRECTORY')
    parser.add_argument('--bucket')
    parser.add_argument('--prefix', default='')
    parser.add_argument('--latest', action='store_true', help='current versions only')
    parser.add_argument('--master-key', metavar='FILE', help='64 hex digits: opens the key ring')
    parser.add_argument('--customer-key', metavar='FILE', action='append', default=[], help='of SSE-C; may be repeated')
    parser.add_argument('--incomplete', action='store_true', help='go on although acknowledged writes may be missing')
    arguments = parser.parse_args()
    if (arguments.command == 'extract') != (arguments.to is not None):
        parser.error('extract needs --to DIRECTORY, list takes none')
    try:
        keys = Keys(
            arguments.master_key and read_key(arguments.master_key, ['hex']),
            [read_key(path, ['base64', 'raw']) for path in arguments.customer_key],
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    state = State()
    try:
        return run(arguments, state, keys)
    except NewerFormat as error:
        warn(f'{error}; a newer reader is needed')
        return 2
    finally:
        state.close()


def run(arguments, state, keys):
    disks = open_disks(arguments.disks, warn)
    if not disks:
        warn('none of these directories is a disk')
        return 1
    is_complete = True
    try:
        chain = find_chain(disks, warn)
    except TooFewDisks as error:
        chain = error.args[1]
        warn(error.args[0])
        if chain is None or not arguments.incomplete:
            warn('give more directories, or --incomplete to read what there is')
            return 1
        is_complete = False
    try:
        snapshot, position = load_checkpoint(chain, disks, warn)
    except TooFewDisks as error:
        warn(error.args[0])
        return 1
    if snapshot is not None:
        state.load(snapshot, position)
    state.apply(chain.after(position))
    volumes = VolumeReader(disks, state)
    cluster_id = next(iter(disks.values())).cluster_id
    keys.open_ring(cluster_id, state.document(*KEY_RING), disks, warn)
    count = failed = 0
    for entry, body in objects(state, volumes, keys, arguments):
        if not entry['isDeleteMarker']:
            count += 1
        if arguments.command == 'list':
            print(json.dumps(entry, ensure_ascii=False))
        elif entry['isDeleteMarker']:
            note(entry, arguments.to)
        elif not extract(entry, body, arguments.to):
            failed += 1
    warn(f'{count - failed} of {count} versions, {volumes.rebuilt_count} stripes rebuilt from other shards')
    return 0 if is_complete and failed == 0 else 1


def objects(state, volumes, keys, arguments):
    """Each version, with a function that gives its bytes."""
    rows = state.db.execute(
        'SELECT b.bucket_id, b.name, v.key, v.version_id, v.is_delete_marker, v.size_bytes, v.etag, v.modified_ms, v.details, v.parts,'
        ' v.blob_ids FROM versions v JOIN buckets b USING (bucket_id) ORDER BY b.name, v.key, v.ord DESC'
    )
    before = None
    for bucket_id, bucket, key, version_id, is_marker, size, etag, modified_ms, details, parts, blob_ids in rows:
        is_latest = (bucket, key) != before
        before = (bucket, key)
        text = key.decode('utf-8')
        if arguments.latest and (not is_latest or is_marker):
            continue
        if arguments.bucket not in (None, bucket) or not text.startswith(arguments.prefix):
            continue
        entry = {
            'bucket': bucket, 'key': text, 'versionId': version_id or 'null', 'isLatest': is_latest,
            'isDeleteMarker': bool(is_marker), 'sizeBytes': size, 'etag': etag, 'lastModifiedMs': modified_ms,
            **read_details(details), 'partSizesBytes': read_part_sizes(parts),
        }
        encryption = entry.pop('encryption', None)
        if encryption is not None:
            encryption = Encryption(encryption)
            entry['encryption'] = encryption.mode

        def body(encryption=encryption, bucket_id=bucket_id, key=key, blob_ids=blob_ids):
            blobs = [(size, volumes.read(layout)) for size, layout in state.blobs_of(blob_ids) if size > 0]
            if encryption is not None:
                yield from keys.open_body(encryption, bucket_id, key, blobs)
                return
            for _, pieces in blobs:
                yield from pieces

        yield entry, body


def extract(entry, body, directory):
    path = free_path(os.path.join(directory, safe_segment(entry['bucket'])), entry['key'])
    if not entry['isLatest']:
        path = os.path.join(path.removesuffix('%object') + '%versions', safe_segment(entry['versionId']))
    temporary = path + '%partial'
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        checker = ETagChecker(entry)
        size = 0
        with open(temporary, 'xb') as file:
            for piece in body():
                file.write(piece)
                checker.update(piece)
                size += len(piece)
        if size != entry['sizeBytes']:
            raise Unreadable(f'{size} bytes came instead of {entry["sizeBytes"]}')
        checker.check()
    except (Unreadable, Malformed, ValueError) as error:
        warn(f's3://{entry["bucket"]}/{entry["key"]} version {entry["versionId"]}: {error}')
        if os.path.exists(temporary):
            os.remove(temporary)
        return False
    os.replace(temporary, path)
    os.utime(path, (entry['lastModifiedMs'] / 1000,) * 2)
    note({**entry, 'file': os.path.relpath(path, directory)}, directory)
    return True


def note(entry, directory):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, 'objects.jsonl'), 'a', encoding='utf-8') as file:
        file.write(json.dumps(entry, ensure_ascii=False) + '\n')


class ETagChecker:
    """
    MD5 of the body, or of the parts' MD5s, appended ones too; other ETags, as of SSE-KMS and SSE-C, are not checked (each
    piece has been).
    """

    def __init__(self, entry):
        self._etag = entry['etag']
        sizes = entry['partSizesBytes']
        self._sizes = list(sizes) if '-' in self._etag else [entry['sizeBytes']]
        is_md5 = entry.get('encryption', 'AES256') == 'AES256' and len(self._etag.split('-')[0]) == 32
        self._is_known = is_md5 and ('-' not in self._etag or bool(sizes))
        self._digests = []
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._left = self._sizes[0] if self._sizes else 0

    def update(self, piece):
        view = memoryview(piece)
        while len(view) > self._left and len(self._digests) + 1 < len(self._sizes):
            self._md5.update(view[: self._left])
            view = view[self._left :]
            self._digests.append(self._md5.digest())
            self._md5 = hashlib.md5(usedforsecurity=False)
            self._left = self._sizes[len(self._digests)]
        self._md5.update(view)
        self._left -= len(view)

    def check(self):
        if not self._is_known:
            return
        while len(self._digests) + 1 < len(self._sizes):
            self._digests.append(self._md5.digest())
            self._md5 = hashlib.md5(usedforsecurity=False)
        digest = self._md5.hexdigest()
        if '-' in self._etag:
            digests = [*self._digests, self._md5.digest()]
            digest = f'{_md5(b"".join(digests)).hex()}-{len(digests)}'
            if digest != self._etag and f'{self._etag[:32]}-{len(digests)}' == self._etag and self._was_appended(digests):
                return
        if digest != self._etag:
            raise Unreadable(f'its ETag is {self._etag}, the bytes have {digest}')

    def _was_appended(self, digests):
        """Some first parts are one object, empty perhaps, and each of the others was appended: MD5 of the ETag before and its own."""
        for count in [1, 0, *range(2, len(digests))]:
            etag = digests[0] if count == 1 else _md5(b''.join(digests[:count]))
            candidates = [etag] if count != 1 else [etag, _md5(etag)]
            for candidate in candidates:
                for digest in digests[count:]:
                    candidate = _md5(candidate + digest)
                if candidate.hex() == self._etag[:32]:
                    return True
        return False


def _md5(data):
    return hashlib.md5(data, usedforsecurity=False).digest()


def safe_segment(segment):
    """One name for a directory entry: what a file system cannot hold, and '%', is percent-encoded."""
    encoded = ''.join(
        char if char.isprintable() and char not in '%\\' else ''.join(f'%{byte:02X}' for byte in char.encode())
        for char in segment
    )
    if encoded in ('', '.', '..'):
        encoded = encoded.replace('.', '%2E') or '%'
    if len(encoded.encode()) > _SEGMENT_BYTES:
        digest = hashlib.sha256(segment.encode()).hexdigest()[:16]
        encoded = f'{encoded.encode()[:_SEGMENT_BYTES - 20].decode("utf-8", "ignore")}%~{digest}'
    return encoded


def free_path(root, key):
    """Where a key goes. An object `a` beside `a/b` is written as `a%object`; objects.jsonl tells each one's file."""
    segments = [safe_segment(segment) for segment in key.split('/')]
    for index in range(1, len(segments)):
        parent = os.path.join(root, *segments[:index])
        if os.path.isfile(parent):
            segments[index - 1] += '%directory'
    path = os.path.join(root, *segments)
    return path + '%object' if os.path.isdir(path) else path


if __name__ == '__main__':
    sys.exit(main())

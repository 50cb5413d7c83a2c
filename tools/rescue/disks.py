"""Which directories belong together. docs/ON-DISK-FORMAT.md, sections 2 and 3."""

import hashlib
import json
import os

from wire import NewerFormat


class Disk:
    def __init__(self, path, identity):
        self.path = path
        self.id = identity['diskId']
        self.cluster_id = identity['clusterId']
        self.identity = identity

    def file(self, *names):
        return os.path.join(self.path, *names)


def compact(value):
    return json.dumps(value, separators=(',', ':'), ensure_ascii=False)


def open_disks(paths, warn):
    """The disks of one cluster by id. Directories that are no disk, damaged or copies of one another are left out."""
    found = {}
    copies = set()
    for path in paths:
        identity = _read_identity(path, warn)
        if identity is None:
            continue
        disk = Disk(path, identity)
        if disk.id in found or disk.id in copies:
            warn(f'{path} and {found[disk.id].path if disk.id in found else "others"} are copies of one disk: neither is used')
            copies.add(disk.id)
            found.pop(disk.id, None)
            continue
        found[disk.id] = disk
    clusters = {disk.cluster_id for disk in found.values()}
    if len(clusters) > 1:
        raise SystemExit(f'these directories belong to {len(clusters)} clusters: give those of one')
    return found


def _read_identity(path, warn):
    try:
        with open(os.path.join(path, 'disk.json'), encoding='utf-8') as file:
            text = file.read(256 * 1024 + 1)
        identity = json.loads(text)
        if identity.get('formatVersion', 1) > 1:
            raise NewerFormat(f'{path} has format version {identity["formatVersion"]}; this reader knows 1')
        checksum = identity.pop('checksum')
        if hashlib.sha256(compact(identity).encode()).hexdigest() != checksum:
            raise ValueError('its checksum is wrong')
        if not os.path.exists(os.path.join(path, 'format-complete')):
            raise ValueError('it was never fully formatted')
        return identity
    except (OSError, ValueError, KeyError, AttributeError) as error:
        warn(f'{path} is not used: disk.json: {error}')
        return None

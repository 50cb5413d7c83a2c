"""minio-py: objects, parts, presigned URLs, versions, tags, object lock and server-side encryption."""

import io
import os
import urllib.request
from datetime import datetime, timedelta, timezone
from urllib.parse import urlparse

from minio import Minio
from minio.commonconfig import COMPLIANCE, ENABLED, CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.retention import Retention
from minio.sse import SseS3
from minio.versioningconfig import VersioningConfig

from connection import ACCESS_KEY, ENDPOINT, SECRET_KEY, bucket_name

where = urlparse(ENDPOINT)
client = Minio(where.netloc, access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=where.scheme == "https", region="us-east-1")


def read(bucket: str, name: str, **query) -> bytes:
    response = client.get_object(bucket, name, **query)
    try:
        return response.read()
    finally:
        response.close()
        response.release_conn()


# objects and parts
bucket = bucket_name("minio-py")
client.make_bucket(bucket)
large = os.urandom(17 * 1024 * 1024 + 3)
client.put_object(bucket, "a/large one", io.BytesIO(large), len(large), part_size=5 * 1024 * 1024)
assert read(bucket, "a/large one") == large
assert read(bucket, "a/large one", offset=6_000_000, length=100) == large[6_000_000:6_000_100]
client.copy_object(bucket, "copied", CopySource(bucket, "a/large one"))
assert urllib.request.urlopen(client.presigned_get_object(bucket, "copied")).read() == large
assert [entry.object_name for entry in client.list_objects(bucket, recursive=True)] == ["a/large one", "copied"]
assert list(client.remove_objects(bucket, [DeleteObject("copied"), DeleteObject("a/large one")])) == []
client.remove_bucket(bucket)

# versions and tags
bucket = bucket_name("minio-py")
client.make_bucket(bucket)
client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
first = client.put_object(bucket, "key", io.BytesIO(b"first"), 5)
client.put_object(bucket, "key", io.BytesIO(b"second"), 6)
client.remove_object(bucket, "key")
assert read(bucket, "key", version_id=first.version_id) == b"first"
versions = list(client.list_objects(bucket, include_version=True))
assert sorted((v.is_delete_marker, v.is_latest) for v in versions) == [(False, "false"), (False, "false"), (True, "true")], versions
tags = Tags.new_object_tags()
tags["kind"] = "first of them"
client.set_object_tags(bucket, "key", tags, version_id=first.version_id)
assert client.get_object_tags(bucket, "key", version_id=first.version_id) == {"kind": "first of them"}

# object lock
bucket = bucket_name("minio-py")
client.make_bucket(bucket, object_lock=True)
until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)
# Not by headers of the upload: it sends no Content-MD5 with them, which S3 asks for.
kept = client.put_object(bucket, "kept", io.BytesIO(b"kept"), 4)
client.set_object_retention(bucket, "kept", Retention(COMPLIANCE, until), version_id=kept.version_id)
client.enable_object_legal_hold(bucket, "kept", version_id=kept.version_id)
assert client.get_object_retention(bucket, "kept").retain_until_date == until
assert client.is_object_legal_hold_enabled(bucket, "kept")
try:
    client.remove_object(bucket, "kept", version_id=kept.version_id)
    raise AssertionError("a locked version was removed")
except S3Error as error:
    assert error.code == "AccessDenied", error
assert read(bucket, "kept", version_id=kept.version_id) == b"kept"

# server-side encryption
bucket = bucket_name("minio-py")
client.make_bucket(bucket)
client.put_object(bucket, "sealed", io.BytesIO(b"sealed"), 6, sse=SseS3())
assert client.stat_object(bucket, "sealed").metadata["x-amz-server-side-encryption"] == "AES256"
assert read(bucket, "sealed") == b"sealed"

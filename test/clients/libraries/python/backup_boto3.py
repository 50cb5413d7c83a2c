"""boto3 as backup tools use it: an immutable, versioned repository of encrypted blocks, its catalogue and its expiry."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from connection import ACCESS_KEY, ENDPOINT, SECRET_KEY, bucket_name

s3 = boto3.client(
    "s3", endpoint_url=ENDPOINT, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name="us-east-1"
)
bucket = bucket_name("backup")
s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
s3.put_object_lock_configuration(
    Bucket=bucket,
    ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
    },
)
s3.put_bucket_encryption(
    Bucket=bucket,
    ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
)
s3.put_bucket_lifecycle_configuration(
    Bucket=bucket,
    LifecycleConfiguration={
        "Rules": [
            {
                "ID": "old versions",
                "Status": "Enabled",
                "Filter": {"Prefix": "blocks/"},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            }
        ]
    },
)


def write_block(number: int) -> tuple[str, str, str]:
    body = os.urandom(256 * 1024 + number)
    key = f"blocks/{hashlib.sha256(body).hexdigest()}"
    answer = s3.put_object(Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm="SHA256", Tagging=f"run={number % 3}")
    return key, answer["VersionId"], hashlib.sha256(body).hexdigest()


with ThreadPoolExecutor(8) as pool:
    blocks = list(pool.map(write_block, range(64)))
archive = os.urandom(24 * 1024 * 1024)
path = f"/tmp/archive-{os.getpid()}"
with open(path, "wb") as file:
    file.write(archive)
try:
    s3.upload_file(path, bucket, "archive", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
    s3.download_file(bucket, "archive", path)
    with open(path, "rb") as file:
        assert file.read() == archive
finally:
    os.unlink(path)

# Every block is encrypted, tagged and locked for a day.
for key, version, digest in blocks:
    got = s3.get_object(Bucket=bucket, Key=key, VersionId=version, ChecksumMode="ENABLED")
    assert hashlib.sha256(got["Body"].read()).hexdigest() == digest
    assert got["ServerSideEncryption"] == "AES256" and got["TagCount"] == 1
    assert got["ObjectLockMode"] == "GOVERNANCE"
    assert got["ObjectLockRetainUntilDate"] > datetime.now(timezone.utc) + timedelta(hours=23)

# A thief with the key deletes and overwrites: nothing that was backed up is lost.
s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key, _, _ in blocks]})
answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k, "VersionId": v} for k, v, _ in blocks]})
assert {error["Code"] for error in answer["Errors"]} == {"AccessDenied"} and len(answer["Errors"]) == len(blocks), answer
s3.put_object(Bucket=bucket, Key=blocks[0][0], Body=b"ransom")
pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="blocks/", PaginationConfig={"PageSize": 10})
found = {(version["Key"], version["VersionId"]) for page in pages for version in page.get("Versions", [])}
assert {(key, version) for key, version, _ in blocks} <= found
for key, version, digest in blocks:
    body = s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
    assert hashlib.sha256(body).hexdigest() == digest
try:
    s3.delete_bucket(Bucket=bucket)
    raise AssertionError("a bucket with locked versions was deleted")
except ClientError as error:
    assert error.response["Error"]["Code"] == "BucketNotEmpty", error

# The holder of the permission may end governance early, and must say so.
s3.delete_object(Bucket=bucket, Key=blocks[1][0], VersionId=blocks[1][1], BypassGovernanceRetention=True)

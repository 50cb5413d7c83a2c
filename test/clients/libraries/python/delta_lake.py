"""Delta Lake commits by conditional writes (`If-None-Match: *`): of writers that race, each commit is there once."""

import threading

import boto3
import polars
from deltalake import DeltaTable, write_deltalake

from connection import ACCESS_KEY, ENDPOINT, SECRET_KEY, bucket_name

bucket = bucket_name("delta")
boto3.client(
    "s3", endpoint_url=ENDPOINT, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name="us-east-1"
).create_bucket(Bucket=bucket)
options = {
    "AWS_ENDPOINT_URL": ENDPOINT,
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
    "conditional_put": "etag",
}
table = f"s3://{bucket}/table"
write_deltalake(table, polars.DataFrame({"writer": [-1], "n": [0]}), storage_options=options)
failures = []


def append(writer: int) -> None:
    try:
        for n in range(5):
            write_deltalake(table, polars.DataFrame({"writer": [writer], "n": [n]}), mode="append", storage_options=options)
    except Exception as error:  # said below, in the thread that ends the program
        failures.append(error)


threads = [threading.Thread(target=append, args=(writer,)) for writer in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
rows = sorted(
    (row["writer"], row["n"]) for row in polars.read_delta(table, storage_options=options).iter_rows(named=True)
)
assert rows == [(-1, 0)] + [(writer, n) for writer in range(4) for n in range(5)], rows
assert DeltaTable(table, storage_options=options).version() == 20

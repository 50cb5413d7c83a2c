"""Polars writes a partitioned Parquet dataset over S3 and reads it back, whole and by a filter that it pushes down."""

import boto3
import polars

from connection import ACCESS_KEY, ENDPOINT, SECRET_KEY, bucket_name

bucket = bucket_name("polars")
boto3.client(
    "s3", endpoint_url=ENDPOINT, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name="us-east-1"
).create_bucket(Bucket=bucket)
options = {
    "aws_endpoint_url": ENDPOINT,
    "aws_access_key_id": ACCESS_KEY,
    "aws_secret_access_key": SECRET_KEY,
    "aws_region": "us-east-1",
    "aws_allow_http": "true",
}
frame = polars.DataFrame(
    {
        "id": polars.int_range(1_000_000, eager=True),
        "city": ["Bern", "Genève", "Zürich", "Lugano"] * 250_000,
        "value": polars.int_range(1_000_000, eager=True).cast(polars.Float64) / 7,
    }
)
frame.write_parquet(f"s3://{bucket}/one.parquet", storage_options=options)
for city in ("Bern", "Genève"):
    frame.filter(polars.col("city") == city).write_parquet(
        f"s3://{bucket}/by city/city={city}/part.parquet", storage_options=options
    )
back = polars.read_parquet(f"s3://{bucket}/one.parquet", storage_options=options)
assert back.equals(frame), "the table came back changed"
few = (
    polars.scan_parquet(f"s3://{bucket}/one.parquet", storage_options=options)
    .filter(polars.col("id").is_between(500_000, 500_009))
    .select("id", "value")
    .collect()
)
assert few["id"].to_list() == list(range(500_000, 500_010)), few
parts = polars.scan_parquet(f"s3://{bucket}/by city/*/part.parquet", storage_options=options)
assert parts.select(polars.len()).collect().item() == 500_000

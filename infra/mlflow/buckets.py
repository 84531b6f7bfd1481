"""Makes the buckets that BUCKETS names; those that are there are left alone."""

import os

import boto3

s3 = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
for name in os.environ["BUCKETS"].split():
    if name not in there:
        s3.create_bucket(Bucket=name)
        print(f"made {name}")

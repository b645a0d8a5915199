"""Puts files into a store by its maker's client: `object_stores.py KIND URL < names.json`."""

from __future__ import annotations

import json
import os
import sys

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's well-known account key."""


def put_s3(url: str, objects: dict[str, str]) -> None:
    import boto3

    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1",
        aws_access_key_id="a", aws_secret_access_key="b",
    )  # fmt: skip
    client.create_bucket(Bucket="models")
    for name, text in objects.items():
        client.put_object(Bucket="models", Key=name, Body=text.encode())


def put_gcs(url: str, objects: dict[str, str]) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    os.environ["STORAGE_EMULATOR_HOST"] = url
    bucket = Client("p", AnonymousCredentials(), client_options={"api_endpoint": url}).bucket(
        "models"
    )
    for name, text in objects.items():
        bucket.blob(name).upload_from_string(text)


def put_azure(url: str, objects: dict[str, str]) -> None:
    from azure.storage.blob import BlobServiceClient

    service = BlobServiceClient(url, credential=KEY)
    service.create_container("models")
    for name, text in objects.items():
        service.get_blob_client("models", name).upload_blob(text.encode())


if __name__ == "__main__":
    putters = {"s3": put_s3, "gcs": put_gcs, "azure": put_azure}
    putters[sys.argv[1]](sys.argv[2], json.load(sys.stdin))

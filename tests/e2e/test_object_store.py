"""Services whose models lie in S3, with the Secrets that a cluster would take."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.storage.s3_server import ID, S3, SECRET

pytestmark = pytest.mark.slow

FLOWER = {"instances": [[6.8, 2.8, 4.8, 1.4]]}
KEYS = """
apiVersion: v1
kind: Secret
metadata:
  name: minio
  annotations:
    serving.kserve.io/s3-endpoint: 127.0.0.1:{port}
    serving.kserve.io/s3-usehttps: "0"
stringData: {{AWS_ACCESS_KEY_ID: {id}, AWS_SECRET_ACCESS_KEY: "{secret}"}}
"""
BY_ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
secrets: [{name: minio}]
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: by-account}
spec:
  predictor:
    serviceAccountName: reader
    model: {modelFormat: {name: sklearn}, storageUri: "s3://models/iris"}
"""
BY_ENTRY = """
apiVersion: v1
kind: Secret
metadata: {{name: storage-config}}
stringData: {{mine: '{entry}'}}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: by-entry}}
spec:
  predictor:
    model: {{modelFormat: {{name: sklearn}}, storage: {{key: mine, path: iris}}}}
"""


@pytest.fixture(scope="module")
def s3(iris: Path) -> Iterator[S3]:
    """A store that checks signatures, in a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    served = S3({"iris/model.joblib": (iris / "model.joblib").read_bytes()})
    asyncio.run_coroutine_threadsafe(served.start(), loop).result(30)
    yield served
    asyncio.run_coroutine_threadsafe(served.away(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def operator() -> dict[str, str]:
    # The operator's own keys are nobody else's.
    mine = {"AWS_ACCESS_KEY_ID": ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    return {"SAMPAN_ALLOW_PRIVATE_SOURCES": "127.0.0.1", "SAMPAN_DOWNLOAD_ATTEMPTS": "1", **mine}


def test_models_in_s3_are_served_with_the_secrets_that_name_their_keys(sampan: Any, s3: S3) -> None:
    sampan.apply(BY_ACCOUNT)
    told = sampan.wait_for("by-account", lambda t: t.get("reason") == "SecretNotFound")
    assert '"minio"' in told["message"]
    sampan.apply(KEYS.format(port=s3.port, id=ID, secret=SECRET))
    entry = {
        "type": "s3", "bucket": "models", "endpoint_url": f"http://127.0.0.1:{s3.port}",
        "access_key_id": ID, "secret_access_key": SECRET,
    }  # fmt: skip
    sampan.apply(BY_ENTRY.format(entry=json.dumps(entry)))
    sampan.wait_ready("by-entry")
    assert sampan.predict("by-entry", FLOWER) == (200, {"predictions": [1]})
    sampan.wait_ready("by-account")
    assert sampan.predict("by-account", FLOWER) == (200, {"predictions": [1]})
    assert SECRET not in sampan.cli("get", "isvc", "-o", "yaml")

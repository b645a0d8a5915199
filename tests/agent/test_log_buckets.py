"""The agent's log in a bucket of S3: a store that checks signatures and digests by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.agent.agent_process import Asked, wait_for

ID, SECRET, REGION = "AKIDEXAMPLE", "s3cret/with+signs", "eu-test-1"
LOGGED = ("--inference-service", "m", "--namespace", "ml", "--component", "predictor")


@dataclass
class Bucket:
    """`logs`, by the name of an object. `busy` answers come before it takes one."""

    objects: dict[str, bytes] = field(default_factory=dict)
    busy: int = 0

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if signature_of(asked) != asked.headers.get("authorization", "").rpartition("=")[2]:
            return 403, {}, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        if self.busy:
            self.busy -= 1
            return 503, {}, b"<Error><Code>SlowDown</Code></Error>"
        assert asked.method == "PUT"
        self.objects[asked.path.removeprefix("/logs/")] = asked.body
        return 200, {}, b""


def signature_of(asked: Asked) -> str:
    """What the signature must be (AWS, Signature Version 4), of what came."""
    given = asked.headers
    digest = hashlib.sha256(asked.body).hexdigest()
    assert given["x-amz-content-sha256"] == digest
    names = ["host", "x-amz-content-sha256", "x-amz-date"]
    lines = [f"{name}:{given[name]}\n" for name in names]
    whole = "\n".join(["PUT", asked.path, "", "".join(lines), ";".join(names), digest])
    day = given["x-amz-date"][:8]
    key = f"AWS4{SECRET}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    scope = f"{day}/{REGION}/s3/aws4_request"
    hashed = hashlib.sha256(whole.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{given['x-amz-date']}\n{scope}\n{hashed}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def bucket(peer, monkeypatch) -> Bucket:
    found = Bucket()
    _, port = peer(found.answer)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    return found


def start(peer: Any, agent: Any, *more: str) -> Any:
    _, port = peer()
    arguments = ("--component-port", str(port), "--log-url", "s3://logs/of/pods")
    return agent(*arguments, *LOGGED, *more)


def ask(running: Any, name: str) -> None:
    url = f"{running.url}/v1/models/m:predict"
    answer = httpx.post(url, json={"instances": [1]}, headers={"Ce-Id": name}, timeout=30)
    assert answer.json() == {"predictions": [2]}


def test_requests_and_answers_are_objects_with_kserve_s_names(peer, agent, bucket):
    running = start(peer, agent, "--log-store-path", "in")
    ask(running, "7")
    folder = "of/pods/ml/m/predictor/in"
    wanted = {f"{folder}/7-{kind}.json" for kind in ("request", "response")}
    wait_for(lambda: bucket.objects.keys() == wanted)
    record = json.loads(bucket.objects[f"{folder}/7-request.json"])
    assert json.loads(base64.b64decode(record["bytes"])) == {"instances": [1]}
    assert record["url"] == "s3://logs/of/pods"


def test_a_store_that_is_busy_is_asked_again(peer, agent, bucket):
    bucket.busy = 2
    running = start(peer, agent, "--log-mode", "request", "--workers", "1")
    ask(running, "7")
    wait_for(lambda: bucket.objects)
    assert running.stop() == 0
    assert "dropped" not in running.told()


def test_wrong_keys_are_told_without_their_values(peer, agent, bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    running = start(peer, agent, "--log-mode", "request")
    ask(running, "7")
    wait_for(lambda: "dropped" in running.told())
    assert "verify AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in running.told()
    assert "another" not in running.told()
    assert bucket.objects == {}


def test_a_batch_of_a_table_is_one_object(peer, agent, bucket):
    running = start(
        peer, agent, "--log-mode", "request", "--log-batch-size", "3", "--log-store-format",
        "parquet",
    )  # fmt: skip
    for name in "abc":
        ask(running, name)
    wait_for(lambda: bucket.objects)
    assert running.stop() == 0
    [(name, content)] = bucket.objects.items()
    assert name == "of/pods/ml/m/predictor/c-request.parquet"
    assert content[:4] == content[-4:] == b"PAR1"

"""Credentials that a cloud's machine tells a pod: roles, its identity, metadata servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from tests.storage.azure_server import Azure
from tests.storage.gcs_server import Gcs
from tests.storage.s3_server import ID, S3, SECRET, Asked, send

from sampan.storage.base import StorageError

ROLE = "arn:aws:iam::1:role/models"


@dataclass
class Cloud(S3):
    """An S3 whose machine also gives keys, for `lives` seconds of the clock."""

    now: float = 0.0
    lives: float = 3600.0
    given: list[str] = field(default_factory=list)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        ends = datetime.fromtimestamp(self.now + self.lives, UTC).isoformat()
        if asked.target == "/keys":
            self.given.append(asked.headers.get("authorization", ""))
            keys = {"AccessKeyId": ID, "SecretAccessKey": SECRET, "Token": "t", "Expiration": ends}
            send(writer, 200, {}, json.dumps(keys).encode())
        elif asked.target == "/sts/":
            body = await self.reader.readexactly(int(asked.headers["content-length"]))
            form = {k: v[0] for k, v in parse_qs(body.decode()).items()}
            self.given.append(form["WebIdentityToken"])
            right = form["RoleArn"] == ROLE
            told = {b"ends": ends.encode(), b"id": ID.encode(), b"secret": SECRET.encode()}
            send(writer, 200 if right else 403, {}, ROLE_KEYS % told if right else NO_ROLE)
        else:
            await super()._answer(asked, writer)


ROLE_KEYS = (
    b'<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><A><Credentials>'
    b"<AccessKeyId>%(id)b</AccessKeyId><SecretAccessKey>%(secret)b</SecretAccessKey>"
    b"<SessionToken>t</SessionToken><Expiration>%(ends)b</Expiration></Credentials></A></R>"
)
NO_ROLE = b"<E><Error><Code>AccessDenied</Code><Message>Not you</Message></Error></E>"


@pytest.fixture
async def cloud(bench) -> AsyncIterator[Cloud]:
    served = Cloud({"iris/model.joblib": b"weights", "iris/b": b"b"}, now=bench.clock.now())
    await served.start()
    yield served
    served.stop()


def at(server: S3, **variables: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}", **variables}


def identity(server: S3, folder: Path, role: str = ROLE) -> dict[str, str]:
    token = folder / "token"
    token.write_text("projected-token\n")
    return at(
        server,
        AWS_ROLE_ARN=role,
        AWS_WEB_IDENTITY_TOKEN_FILE=str(token),
        AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{server.port}/sts",
    )


async def test_a_service_account_s_token_gets_the_keys_of_its_role(cloud, bench, tmp_path):
    bench.set(environment=identity(cloud, tmp_path), ambient=True)
    assert (await bench.fetch("s3://models/iris")).size == 8
    assert cloud.given == ["projected-token"]
    assert cloud.seen[-1].headers["x-amz-security-token"] == "t"


async def test_a_role_that_is_not_given_is_named(cloud, bench, tmp_path):
    bench.set(environment=identity(cloud, tmp_path, "arn:aws:iam::1:role/other"), ambient=True)
    with pytest.raises(StorageError, match="role/other") as caught:
        await bench.fetch("s3://models/iris")
    assert caught.value.reason == "AuthenticationFailed"
    assert "projected-token" not in caught.value.message


async def test_the_container_s_endpoint_gives_keys_which_are_renewed_before_they_end(cloud, bench):
    cloud.lives = 100  # less than they are renewed ahead
    url = f"http://127.0.0.1:{cloud.port}/keys"
    token = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "pod"}
    variables = at(cloud, AWS_CONTAINER_CREDENTIALS_FULL_URI=url, **token)
    bench.set(environment=variables, ambient=True)
    assert (await bench.fetch("s3://models/iris")).size == 8
    assert set(cloud.given) == {"pod"}
    assert len(cloud.given) > 2


async def test_the_pod_s_token_goes_to_no_other_host(cloud, bench):
    url = "http://keys.example.com/keys"
    bench.set(
        environment=at(cloud, AWS_CONTAINER_CREDENTIALS_FULL_URI=url), ambient=True, attempts=1
    )
    with pytest.raises(StorageError, match=r"keys\.example\.com") as caught:
        await bench.fetch("s3://models/iris")
    assert caught.value.reason == "InvalidStorageSettings"


async def test_on_a_laptop_the_machine_is_not_asked(cloud, bench, tmp_path):
    bench.set(environment=identity(cloud, tmp_path), ambient=False)
    with pytest.raises(StorageError, match="without credentials"):
        await bench.fetch("s3://models/iris")
    assert cloud.given == []


class Metadata(Gcs):
    """Google's metadata server, which gives the token that the bucket wants."""

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if not asked.target.startswith("/computeMetadata/"):
            await super()._answer(asked, writer)
        elif asked.headers.get("metadata-flavor") == "Google":
            self.tokens = 7
            send(writer, 200, {}, b'{"access_token": "t7", "expires_in": 3599}')
        else:
            send(writer, 403, {})


async def test_a_metadata_server_gives_google_s_tokens(bench):
    from sampan.storage.gcs_credentials import make_token_source
    from sampan.storage.job import Job

    served = Metadata()
    await served.start()
    bench.set(ambient=True)
    job = Job(bench.options, lambda _: None, bench.world)
    host = {"GCE_METADATA_HOST": f"127.0.0.1:{served.port}"}
    tokens, anonymous = await make_token_source(host, job)
    assert (await tokens(), anonymous) == ("t7", False)
    served.stop()


async def test_an_identity_of_azure_exchanges_the_pod_s_token(bench, tmp_path):
    class Directory(Azure):
        def _give(self, form: dict[str, list[str]], writer: asyncio.StreamWriter) -> None:
            assert form["client_assertion"] == ["federated"]
            super()._give({"client_secret": ["right"]}, writer)

    served = Directory({"iris/model.joblib": b"weights"})
    await served.start()
    (tmp_path / "token").write_text("federated\n")
    url = f"http://127.0.0.1:{served.port}"
    bench.set(
        environment={
            "AZURE_SERVICE_URL": url,
            "AZURE_AUTHORITY_HOST": f"{url}/",
            "AZURE_CLIENT_ID": "app",
            "AZURE_TENANT_ID": "dir",
            "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        },
        ambient=True,
    )
    fetched = await bench.fetch("https://models1.blob.core.windows.net/models/iris")
    assert (fetched.size, served.tokens) == (7, 1)
    served.stop()

"""The init container beside KServe's own, at moto, at an emulator of Google's, and at Azurite."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.engines.object_stores import KEY

ENVIRONMENT = Path(os.environ.get("SAMPAN_TEST_OBJECTS", "none"))
PUT = Path(__file__).with_name("object_stores.py")
AZURITE = ENVIRONMENT / "node_modules/azurite/dist/src/blob/main.js"
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (ENVIRONMENT / "bin/python").exists(),
        reason="moto, emulators and KServe's clients are 700 MB: make test-objects",
    ),
]

OBJECTS = {
    "iris/model.joblib": "weights",
    "iris/sub dir/+&%20 ä.txt": "odd",
    "plain/sub dir/labels.txt": "a b",
    "plain/model.bin": "two",
    "alone/model.bin": "one",
    "both": "file",
    "both/x": "inside",
    **{f"many/{n:04}": f"{n}" for n in range(60)},
}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends and server.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}: {server.args}")


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., int]]:
    """Starts a server by its command, in which PORT is replaced; ends all of them."""
    servers = []

    def start(kind: str, path: str, *command: str) -> int:
        port = free_port()
        folder = tmp_path_factory.mktemp(kind)
        words = [word.replace("PORT", str(port)).replace("FOLDER", str(folder)) for word in command]
        quiet = subprocess.DEVNULL
        server = subprocess.Popen(words, cwd=folder, stdout=quiet, stderr=quiet)
        servers.append(server)
        wait_for(port, server)
        put = [ENVIRONMENT / "bin/python", PUT, kind, f"http://127.0.0.1:{port}{path}"]
        subprocess.run(put, input=json.dumps(OBJECTS).encode(), check=True, timeout=120)
        return port

    yield start
    for server in servers:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def s3(serve: Callable[..., int]) -> dict[str, str]:
    port = serve("s3", "", str(ENVIRONMENT / "bin/python"), "-m", "moto.server", "-p", "PORT")
    url = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    return {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1", **keys}


@pytest.fixture(scope="module")
def gcs(serve: Callable[..., int]) -> dict[str, str]:
    program = str(ENVIRONMENT / "bin/gcp-storage-emulator")
    options = ("--host=127.0.0.1", "--port=PORT", "--in-memory", "--default-bucket=models")
    port = serve("gcs", "", program, "start", *options)
    return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}


@pytest.fixture(scope="module")
def azure(serve: Callable[..., int]) -> dict[str, str]:
    if not AZURITE.exists():
        pytest.skip("Azurite is not there: npm install azurite, by make test-objects")
    options = ("--blobHost", "127.0.0.1", "--blobPort", "PORT", "--skipApiVersionCheck")
    command = ("node", str(AZURITE), "--silent", "--location", "FOLDER", *options)
    port = serve("azure", "/devstoreaccount1", *command)
    url = f"http://127.0.0.1:{port}/devstoreaccount1"
    return {"AZURE_SERVICE_URL": url, "AZURE_STORAGE_ACCESS_KEY": KEY}


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def ours(uri: str, folder: Path, variables: dict[str, str]) -> dict[str, str]:
    command = [sys.executable, "-m", "sampan.app.storage_initializer", uri, str(folder)]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tree(folder)


def theirs(uri: str, folder: Path, variables: dict[str, str]) -> dict[str, str]:
    code = "import sys; from kserve_storage import Storage; Storage.download(*sys.argv[1:])"
    python = ENVIRONMENT / "bin/python"
    subprocess.run(
        [python, "-c", code, uri, str(folder)], env={**os.environ, **variables}, timeout=120,
        check=True, capture_output=True,
    )  # fmt: skip
    return tree(folder)


@pytest.mark.parametrize("path", ["iris/", "alone/model.bin", "alone", "both", "both/", "many/"])
def test_s3_gives_the_files_that_kserve_s_own_initializer_gives(
    path: str, s3: dict[str, str], tmp_path: Path
) -> None:
    uri = f"s3://models/{path}"
    assert ours(uri, tmp_path / "ours", s3) == theirs(uri, tmp_path / "theirs", s3)


@pytest.mark.parametrize("path", ["plain", "alone/model.bin", "many"])
def test_gcs_gives_the_files_that_kserve_s_own_initializer_gives(
    path: str, gcs: dict[str, str], tmp_path: Path
) -> None:
    uri = f"gs://models/{path}"
    assert ours(uri, tmp_path / "ours", gcs) == theirs(uri, tmp_path / "theirs", gcs)


@pytest.mark.parametrize(("path", "files"), [("iris/", 2), ("both", 1), ("many", 60)])
def test_azurite_is_listed_and_read_with_its_key(
    path: str, files: int, azure: dict[str, str], tmp_path: Path
) -> None:
    """KServe's initializer takes Azure's own hosts only, so there is none beside it."""
    uri = f"https://devstoreaccount1.blob.core.windows.net/models/{path}"
    found = ours(uri, tmp_path / "ours", azure)
    assert len(found) == files
    assert set(found.values()) <= set(OBJECTS.values())

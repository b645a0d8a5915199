"""The init container as a real process, with the arguments and variables that pods give it."""

from __future__ import annotations

import gzip
import io
import json
import os
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.app.storage_initializer import Unusable, make_pairs
from sampan.machinery.authority import make_pair
from sampan.storage.base import Fetched, StorageError
from sampan.storage.patterns import Patterns, parse_list
from sampan.storage.placing import WORK, place, prepare_folder
from sampan.storage.pod_environment import make_pod_options, parse_headers


class Store(ThreadingHTTPServer):
    """Serves what is in `files`; keeps the headers that it was asked with."""

    files: dict[str, bytes]
    asked: list[dict[str, str]]

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers.items()))
        body = self.server.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store(("127.0.0.1", 0), Answers)
    server.files, server.asked = {"/m/model.joblib": b"weights"}, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    unset = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}  # a pod has none
    around = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [sys.executable, "-m", "sampan.app.storage_initializer", *arguments],
        env={**around, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def archive(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(made.getvalue())


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.rglob("*")}


def test_several_models_are_there_and_anybody_may_read_them(store: Store, tmp_path: Path) -> None:
    store.files["/m.tar.gz"] = archive({"a/b.txt": b"one", "c.txt": b"two"})
    first, second = tmp_path / "models" / "one", tmp_path / "models" / "two"
    done = run(f"{store.root}/m/model.joblib", str(first), f"{store.root}/m.tar.gz", str(second))
    assert done.returncode == 0, done.stderr
    assert sorted(p.relative_to(first).as_posix() for p in first.rglob("*")) == ["model.joblib"]
    assert (second / "a/b.txt").read_bytes() == b"one"
    assert not (second / WORK).exists()
    assert modes(tmp_path / "models") == {0o755, 0o644}


def test_a_failure_ends_with_1_and_its_reason_is_the_termination_message(
    store: Store, tmp_path: Path
) -> None:
    message = tmp_path / "termination-log"
    message.touch()
    done = run(f"{store.root}/none.bin", str(tmp_path / "m"), SAMPAN_TERMINATION_LOG=str(message))
    assert done.returncode == 1
    assert f"{store.root}/none.bin" in message.read_text()
    assert done.stderr.splitlines()[-1].endswith(message.read_text())


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        pytest.param("ftp://x/y", 'the scheme "ftp"', id="a scheme that nobody fetches is named"),
        pytest.param("/mnt/pvc/none", "cannot locate source uri", id="a claim without the model"),
        pytest.param("http://169.254.169.254/x", "metadata", id="metadata is never a model"),
        pytest.param("file:///nope/x", "does not exist", id="a path that is not there"),
    ],
)
def test_what_cannot_be_fetched_is_told_in_one_line(uri: str, told: str, tmp_path: Path) -> None:
    done = run(uri, str(tmp_path / "m"))
    assert done.returncode == 1
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_headers_of_a_host_reach_it_and_no_log(store: Store, tmp_path: Path) -> None:
    secret = json.dumps({"Authorization": "Bearer s3cret"})
    done = run(f"{store.root}/m/model.joblib", str(tmp_path / "m"), **{"127.0.0.1-headers": secret})
    assert done.returncode == 0, done.stderr
    assert store.asked[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in done.stderr


def test_nothing_is_fetched_in_multi_model_mode(tmp_path: Path) -> None:
    assert run("/mnt/models", str(tmp_path / "m")).returncode == 0
    assert not (tmp_path / "m").exists()


def test_what_is_on_the_machine_is_linked(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "x.txt").write_text("x")
    (source / "model.txt").write_text("m")
    assert run(f"file://{source}", str(tmp_path / "m")).returncode == 0
    assert (tmp_path / "m" / "model.txt").readlink() == source / "model.txt"
    assert (tmp_path / "m" / "inner" / "x.txt").read_text() == "x"


def test_patterns_choose_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.json", "b.bin", "c.json"):
        (source / name).touch()
    wanted = {"STORAGE_ALLOW_PATTERNS": '["*.json"]', "STORAGE_IGNORE_PATTERNS": "c.*"}
    assert run(str(source), str(tmp_path / "m"), **wanted).returncode == 0
    assert [p.name for p in (tmp_path / "m").iterdir()] == ["a.json"]


def test_a_model_that_is_to_be_decrypted_is_refused(tmp_path: Path) -> None:
    done = run("file:///x", str(tmp_path), CONFIDENTIAL_ENABLED="true")
    assert done.returncode == 1
    assert "not decrypted here" in done.stderr


def test_a_ca_bundle_that_is_not_there_is_a_warning(store: Store, tmp_path: Path) -> None:
    done = run(
        f"{store.root}/m/model.joblib", str(tmp_path / "m"),
        CA_BUNDLE_CONFIGMAP_NAME="ca", CA_BUNDLE_VOLUME_MOUNT_POINT=str(tmp_path / "none"),
    )  # fmt: skip
    assert done.returncode == 0
    assert f'{tmp_path / "none"}/cabundle.crt" is not trusted' in done.stderr


def test_a_mounted_ca_bundle_is_trusted(store: Store, tmp_path: Path) -> None:
    made = make_pair("authority", ("localhost",), time.time(), 1)
    (tmp_path / "tls.pem").write_bytes(made.key + made.certificate)
    (tmp_path / "cabundle.crt").write_bytes(made.authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    store.socket = context.wrap_socket(store.socket, server_side=True)
    uri = f"https://localhost:{store.server_port}/m/model.joblib"
    mounted = {"CA_BUNDLE_VOLUME_MOUNT_POINT": str(tmp_path)}
    done = run(uri, str(tmp_path / "b"), CA_BUNDLE_CONFIGMAP_NAME="ca", **mounted)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b" / "model.joblib").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param([], "0 arguments", id="none"),
        pytest.param(["http://x/y"], "1 arguments", id="no folder"),
        pytest.param(["http://x/y", "rel"], "no absolute folder", id="a relative folder"),
        pytest.param(["pvc://c/x", "/m"], "names a claim", id="a claim"),
    ],
)
def test_arguments_that_are_no_pairs_are_refused(arguments: list[str], told: str) -> None:
    with pytest.raises(Unusable, match=told):
        make_pairs(arguments)


def test_half_a_model_of_a_crash_is_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    work = prepare_folder(folder)
    content = work / "entries" / "k" / "content"
    content.mkdir(parents=True)
    for name in ("a", "b"):
        (content / name).touch()
    (work / "placing").write_text(json.dumps(["a", "b"]))
    (content / "a").rename(folder / "a")
    (folder / "kept").touch()
    prepare_folder(folder)
    assert [p.name for p in folder.iterdir()] == ["kept"]


def test_what_patterns_leave_nothing_of_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.bin").touch()
    fetched = Fetched(tmp_path / "s", 0, 0.0, cached=True)
    with pytest.raises(StorageError, match=r"\*\.json"):
        place(fetched, tmp_path / "m", Patterns(allow=("*.json",)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param(" a , b,", ("a", "b"), id="commas"),
        pytest.param('["a,b"]', ("a,b",), id="JSON"),
    ],
)
def test_lists_of_patterns(text: str, found: tuple[str, ...]) -> None:
    assert parse_list("X", text) == found


@given(st.dictionaries(st.from_regex(r"[A-Za-z-]{1,9}", fullmatch=True), st.text()))
def test_headers_in_json_are_read_as_they_are(headers: dict[str, str]) -> None:
    assert parse_headers("h-headers", json.dumps(headers)) == headers


def test_headers_may_be_lines_and_nonsense_is_told_without_its_value(tmp_path: Path) -> None:
    assert parse_headers("h", "A: 1\n\nB: x:y") == {"A": "1", "B": "x:y"}
    with pytest.raises(ValueError, match='variable "h-headers"') as told:
        make_pod_options({"h-headers": "s3cret"}, tmp_path)
    assert "s3cret" not in str(told.value)

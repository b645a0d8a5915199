"""The rows of the server's bench measure what they say: tried on our own server, shortly."""

from __future__ import annotations

import asyncio
import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.processes import find_command, proportional_bytes, tree_of, wait_first_answer
from bench.server import benches
from bench.server_rows import grpc, health, tensor, workers
from bench.servers import ours_file, ours_iris, serving
from bench.setting import Setting

from bench import h2load, iris


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Setting(rounds=1)


def test_every_row_has_a_name_by_which_no_other_is_run() -> None:
    assert len(benches) == 13
    for name in benches:
        assert [other for other in benches if name in other] == [name]


@pytest.mark.slow
def test_a_call_over_grpc_is_the_one_that_is_repeated(setting: Setting) -> None:
    if find_command("h2load") is None:
        pytest.skip("h2load is not installed")
    message = grpc.make_message()
    with serving(setting, iris.V2, ours_iris(setting)) as (side,):
        size = grpc._first_answer(side, message)
        assert h2load.run_h2load(f"http://{side.grpc}{grpc.METHOD}", message, 1, size) > 0
        with pytest.raises(RuntimeError, match="some of them failed"):
            h2load.run_h2load(f"http://{side.grpc}{grpc.METHOD}", b"\xff\xff", 1, size)


def test_an_image_is_answered_alike_as_text_and_as_bytes(setting: Setting) -> None:
    json_ask, binary_ask = tensor.make_json_ask(), tensor.make_binary_ask()
    with serving(setting, json_ask, ours_file(setting, "image.py")) as (side,):
        url = side.http + tensor.PATH
        answer = wait_first_answer(url, binary_ask.body, None, headers=binary_ask.headers)
        binary_ask.check(answer)
        with pytest.raises(RuntimeError, match="wrong scores"):
            binary_ask.check(answer[:-1] + b"\x7f")


def test_two_workers_are_used_and_their_memory_is_counted_once(
    setting: Setting, tmp_path: Path
) -> None:
    small = tmp_path / "small.py"
    source = (Path(__file__).parents[2] / "bench" / "models" / "weights.py").read_text()
    small.write_text(source.replace("450_000_000", "60_000_000").replace("500_000", "1_000"))
    with serving(setting, workers.WEIGHTS, ours_file(setting, str(small), "--workers=2")) as (
        side,
    ):
        assert workers.use_all(side, 2) == 2
        tree = tree_of(side.pid)
        each = sum(proportional_bytes([pid]) for pid in tree)
    assert len(tree) == 3
    # Three processes see the array; unshared, it alone would be 180 MB.
    assert 60e6 < each < 180e6


@pytest.fixture
def blocked_port() -> Iterator[int]:
    """A server whose health waits half a second."""

    class Blocked(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            threading.Event().wait(0.5)
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Blocked) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_probe_is_timed_from_when_it_was_due(blocked_port: int) -> None:
    late = asyncio.run(health._probe(blocked_port, time.perf_counter() - 2.0))
    assert late >= 2.5


def test_an_unknown_row_is_named_with_what_there_is() -> None:
    command = [sys.executable, "-m", "bench.run", "server", "--only", "helth"]
    root = Path(__file__).parents[2]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert ended.returncode == 2
    assert 'no row of "server" is named with "helth"; there is: V1 kserve' in ended.stderr

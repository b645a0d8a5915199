"""A state file that was damaged: the daemon starts, shows what it holds, and says why it is all."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Sampan

pytestmark = pytest.mark.slow
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def post(sampan: Sampan, path: str, body: dict) -> tuple[int, dict]:
    daemon = sampan.daemon
    request = urllib.request.Request(
        f"http://{daemon['host']}:{daemon['port']}{path}",
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {daemon['token']}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def break_history(path: Path) -> None:
    """Overwrite the root page of the table of changes; no object is touched.

    Closing the file first folds the log of the killed daemon into it.
    """
    connection = sqlite3.connect(path)
    query = "SELECT rootpage FROM sqlite_master WHERE name = 'changes'"
    page = connection.execute(query).fetchone()[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : (page - 1) * size + 64] = b"\xff" * 64
    path.write_bytes(content)


def test_what_was_acknowledged_is_shown_and_a_write_is_told_why_not(
    make_sampan: Callable[..., Sampan],
):
    sampan = make_sampan()
    sampan.up()
    body = {"metadata": {"name": "kept"}, "data": {"a": "1"}}
    assert post(sampan, CONFIGMAPS, body)[0] == 201
    os.kill(sampan.daemon["pid"], signal.SIGKILL)
    sampan.down()  # whatever the dead one left
    break_history(sampan.state / "store.db")
    sampan.up()
    assert sampan.api(f"{CONFIGMAPS}/kept")["data"] == {"a": "1"}
    code, status = post(sampan, CONFIGMAPS, {"metadata": {"name": "new"}})
    assert code == 500
    assert "is damaged" in status["message"]
    assert "nothing is written" in status["message"]
    assert [m["metadata"]["name"] for m in sampan.api(CONFIGMAPS)["items"]] == ["kept"]
    assert "is damaged" in (sampan.state / "daemon.log").read_text()

"""`sampan pull` and `sampan cache`: models fetched now, listed, and pruned unless they are used."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.platforms.local.layout import Layout
from sampan.platforms.local.model_users import register_users


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path.startswith("/m")
        self.send_response(200 if found else 404)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", "5000" if found else "0")
        self.end_headers()
        self.wfile.write(b"m" * 5000 if found else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def origin(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of models, beside an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "cache"))
    monkeypatch.setenv("SAMPAN_ALLOW_PRIVATE_SOURCES", "127.0.0.1")
    monkeypatch.setenv("SAMPAN_DOWNLOAD_ATTEMPTS", "1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def layout_of(nowhere: Path) -> Layout:
    return Layout(nowhere / "state" / "sampan", nowhere / "cache" / "sampan")


def age(folder: str, seconds: float) -> None:
    file = Path(folder).parent / "entry.json"
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


def use(nowhere: Path, folder: str) -> None:
    """Be a service that needs a model."""
    layout = layout_of(nowhere)
    layout.state.mkdir(parents=True)
    register_users(layout)
    record = {"namespace": "default", "service": "iris", "models": {"u": folder}}
    path = layout.state / "prepared" / "default" / "iris" / "predictor.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))


def test_a_model_is_pulled_and_its_folder_printed(cli, origin):
    done = cli("pull", f"{origin}/m.bin")
    assert done.code == 0
    assert (Path(done.out.strip()) / "m.bin").read_bytes() == b"m" * 5000
    assert "came in" in done.err
    again = cli("pull", f"{origin}/m.bin", f"{origin}/m2.bin")
    assert again.out.splitlines()[0] == done.out.strip()


def test_progress_is_told_in_lines_where_nobody_looks(cli, origin):
    assert "Downloading 4.9 KiB of 4.9 KiB (100%)" in cli("pull", f"{origin}/m.bin").err


@pytest.mark.parametrize(
    ("uri", "code", "told"),
    [
        ("model", 1, "InvalidURI"),
        ("hff://a/b", 1, 'write "hf://"'),
        ("hf://a", 1, "Invalid Hugging Face URI format"),
        ("ORIGIN/none", 1, "ModelNotFound"),
        ("http://u:secret@127.0.0.1:1/m", 3, "ConnectionFailed"),
    ],
)
def test_what_cannot_be_pulled_is_told_without_a_secret(cli, origin, uri, code, told):
    done = cli("pull", uri.replace("ORIGIN", origin))
    assert (done.code, told in done.err, "secret" in done.err) == (code, True, False)


def test_models_are_listed_with_who_uses_them(cli, origin, nowhere):
    assert "holds no model" in cli("cache", "list").err
    folders = [cli("pull", f"{origin}/{name}").out.strip() for name in ("m1", "m2")]
    use(nowhere, folders[0])
    age(folders[1], 7300)
    rows = [line.split() for line in cli("cache", "list").out.splitlines()]
    assert rows[0] == ["KEY", "SIZE", "FILES", "USED", "BY", "MODEL"]
    assert [row[-2:] for row in rows[1:]] == [
        ["default/iris", f"{origin}/m1"], ["-", f"{origin}/m2"]
    ]  # fmt: skip
    assert rows[2][4] == "2h"
    told = json.loads(cli("cache", "list", "-o", "json").out)
    assert [(one["path"], one["usedBy"], one["bytes"]) for one in told] == [
        (folders[0], ["default/iris"], 5000), (folders[1], [], 5000)
    ]  # fmt: skip


def test_pruning_takes_what_nobody_uses_and_what_is_old_enough(cli, origin, nowhere):
    folders = [cli("pull", f"{origin}/{name}").out.strip() for name in ("m1", "m2", "m3")]
    use(nowhere, folders[0])
    for folder, days in zip(folders, (9, 9, 2), strict=True):
        age(folder, days * 86_400)
    assert cli("cache", "prune", "--older-than", "1w", "--dry-run").out.strip() == f"{origin}/m2"
    assert Path(folders[1]).exists()
    done = cli("cache", "prune", "--older-than", "1w")
    assert done.out.strip() == f"{origin}/m2"
    assert "1 models, " in done.err
    assert [Path(folder).exists() for folder in folders] == [True, False, True]
    assert cli("cache", "prune", "--keep", "1Gi").out == ""
    assert cli("cache", "prune").out.strip() == f"{origin}/m3"
    assert [Path(folder).exists() for folder in folders] == [True, False, False]


def test_a_model_that_was_just_pulled_is_not_pruned(cli, origin):
    folder = cli("pull", f"{origin}/m.bin").out.strip()
    assert cli("cache", "prune").out == ""
    assert Path(folder).exists()


def test_models_are_removed_by_key_and_by_uri_but_not_from_under_a_service(cli, origin, nowhere):
    folders = [cli("pull", f"{origin}/{name}").out.strip() for name in ("m1", "m2", "m3")]
    use(nowhere, folders[0])
    refused = cli("cache", "remove", f"{origin}/m1")
    assert (refused.code, "is used by default/iris" in refused.err) == (1, True)
    assert cli("cache", "remove", f"{origin}/m2", Path(folders[2]).parent.name[:12]).code == 0
    assert [Path(folder).exists() for folder in folders] == [True, False, False]


def test_sizes_and_paths_are_told(cli, origin, nowhere):
    folder = cli("pull", f"{origin}/m1").out.strip()
    use(nowhere, folder)
    rows = cli("cache", "du").out.splitlines()
    assert rows[1].split()[:4] == ["used", "by", "services", "1"]
    assert rows[-1].split()[:2] == ["all", "1"]
    assert cli("cache", "path").out.strip() == str(layout_of(nowhere).models)
    assert cli("cache", "path", f"{origin}/m1").out.strip() == folder


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("empty",), 2, "list, prune, remove, path, du"),
        (("prune", "--older-than", "soon"), 2, 'write 30m, 12h, 7d or 2w'),
        (("prune", "--keep", "much"), 2, '"much" cannot be used'),
        (("prune", "x"), 2, "takes no model"),
        (("list", "-o", "xml"), 2, "write json"),
        (("remove",), 2, "sampan cache list"),
        (("remove", "hf://a/b"), 1, "holds nothing"),
        (("path", "../.."), 1, "is in the cache"),
    ],
)  # fmt: skip
def test_what_is_nothing_to_do_is_told(cli, origin, args, code, told):
    done = cli("cache", *args)
    assert (done.code, told in done.err) == (code, True)

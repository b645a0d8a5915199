"""What the server core weighs: a fresh environment with it alone, against KServe's package."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import fill, find_uv
from bench.processes import free_port, running, wait_first_answer
from bench.row import Goal, Row, make_row
from bench.server_rows.rest import NOOP_ASK
from bench.servers import MODELS
from bench.setting import Setting

REPOSITORY = Path(__file__).parents[2]
KSERVE = "kserve==0.21.0"
_COMPILED = "--compile-bytecode"  # as pip does, and as the first start would


def core(setting: Setting) -> Iterator[Row]:
    """Bytes and packages of what serves a model; it is also made to serve one."""
    from sampan.runtimes.declaration import SERVER_REQUIREMENTS

    with _fresh_folder(setting) as folder:
        ours, peer, whole = (folder / name for name in ("ours", "peer", "whole"))
        wheel = _build_wheel(setting, folder)
        fill(setting, ours, (_COMPILED, *SERVER_REQUIREMENTS))
        fill(setting, ours, (_COMPILED, "--no-deps", str(wheel)))
        fill(setting, peer, (_COMPILED, KSERVE))
        fill(setting, whole, (_COMPILED, str(wheel)))
        sizes = [_megabytes(place) for place in (ours, peer, whole)]
        counts = [_packages(setting, place) for place in (ours, peer, whole)]
        _serve_once(setting, ours)
    note = (
        f"sampan by itself with {', '.join(SERVER_REQUIREMENTS)}: what a runtime's environment has "
        "before its framework, bytecode included; it answered a prediction"
    )
    words = {"peer_is": KSERVE, "note": f"{note}; all of sampan: {sizes[2]:.0f} MB"}
    yield make_row("server core: installed size", "MB", sizes[:1], sizes[1:2], Goal(limit=120),
                   **words)  # fmt: skip
    words["note"] = f"{note}; all of sampan: {counts[2]:.0f}"
    yield make_row("server core: packages", "packages", counts[:1], counts[1:2], Goal(limit=30),
                   **words)  # fmt: skip


@contextmanager
def _fresh_folder(setting: Setting) -> Iterator[Path]:
    """Give an empty folder, removed after; its name is fixed, so that a run cut off leaves one."""
    folder = setting.cache / "core"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build_wheel(setting: Setting, folder: Path) -> Path:
    command = [find_uv(setting), "build", "--quiet", "--wheel", "--out-dir", str(folder)]
    subprocess.run([*command, str(REPOSITORY)], check=True)
    (wheel,) = folder.glob("sampan-*.whl")
    return wheel


def _megabytes(environment: Path) -> float:
    files = (path for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6


def _packages(setting: Setting, environment: Path) -> float:
    python = str(environment / "bin" / "python")
    command = [find_uv(setting), "pip", "list", "--quiet", "--format=freeze", "--python", python]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(len(listed.split()))


def _serve_once(setting: Setting, environment: Path) -> None:
    """Have the fresh environment answer: what is not needed is not there, and what is, is."""
    port = free_port()
    # Isolated: no variable of ours points it to packages that it should bring itself.
    command = [str(environment / "bin" / "python"), "-I", str(MODELS / "noop.py"), str(port)]
    with running(command, setting.cache / "core.log") as server:
        wait_first_answer(f"http://127.0.0.1:{port}{NOOP_ASK.path}", NOOP_ASK.body, server)

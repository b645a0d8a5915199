"""Environments are built once, by one builder, in one piece, and failures speak."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from sampan.machinery.clock import SystemClock
from sampan.platforms.local.environments import (
    EnvironmentCache,
    EnvironmentFailed,
    Interpreter,
    current_interpreter,
    make_failure,
    make_key,
)


def write_wheel(folder: Path, name: str = "tinything") -> str:
    """A wheel made by hand, so that no index is asked. Returns the requirement."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "value = 42\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\n"
                       "Root-Is-Purelib: true\nTag: py3-none-any\n")  # fmt: skip
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return f"{name} @ {path.as_uri()}"


def make_cache(root: Path) -> EnvironmentCache:
    return EnvironmentCache(root, current_interpreter(), SystemClock())


def run(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout


async def test_a_built_environment_has_its_packages_and_the_running_sampan(tmp_path):
    wanted = (write_wheel(tmp_path),)
    python = await make_cache(tmp_path / "env").build(wanted)
    assert run(python, "import tinything; print(tinything.value)").strip() == "42"
    package = run(python, "import sampan, os; print(os.path.realpath(sampan.__path__[0]))").strip()
    assert package == current_interpreter().package


TRY_PYDANTIC = """
try:
    import pydantic
except ModuleNotFoundError:
    print("absent")
"""


async def test_it_is_isolated_from_the_environment_of_sampan_itself(tmp_path):
    python = await make_cache(tmp_path).build(())
    assert run(python, TRY_PYDANTIC).strip() == "absent"


async def test_a_second_build_finds_the_first_and_runs_nothing(tmp_path):
    wanted = (write_wheel(tmp_path),)
    await make_cache(tmp_path / "env").build(wanted)
    said: list[str] = []
    began = time.perf_counter()
    await make_cache(tmp_path / "env").build(wanted, said.append)
    assert said == []
    assert time.perf_counter() - began < 0.02


async def test_a_warm_check_costs_less_than_a_millisecond(tmp_path):
    cache = make_cache(tmp_path)
    await cache.build(())
    began = time.perf_counter()
    for _ in range(100):
        assert cache.is_built(())
    assert (time.perf_counter() - began) / 100 < 0.001


BUILDER = """
import asyncio, json, sys
from pathlib import Path
from sampan.machinery.clock import SystemClock
from sampan.platforms.local.environments import EnvironmentCache, current_interpreter
cache = EnvironmentCache(Path(sys.argv[1]), current_interpreter(), SystemClock())
said = []
asyncio.run(cache.build((sys.argv[2],), said.append))
print(json.dumps(len(said)))
"""


def test_of_three_processes_that_want_it_one_builds(tmp_path):
    wanted = write_wheel(tmp_path)
    builders = [
        subprocess.Popen([sys.executable, "-c", BUILDER, str(tmp_path / "env"), wanted],
                         stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]  # fmt: skip
    lines = [json.loads(b.communicate(timeout=60)[0]) for b in builders]
    assert sorted(count > 0 for count in lines) == [False, False, True]


async def test_what_a_killed_builder_left_is_cleared_away(tmp_path):
    cache = make_cache(tmp_path)
    key = Path(cache.python(())).parent.parent.name
    left = tmp_path / f".{key}-abc"
    left.mkdir()
    (tmp_path / key).mkdir()  # without the mark of a whole environment
    await cache.build(())
    assert cache.is_built(())
    assert not left.exists()


def drop(path: str) -> None:
    Path(path).unlink()


async def test_an_environment_whose_interpreter_is_gone_is_built_anew(tmp_path):
    cache = make_cache(tmp_path)
    python = await cache.build(())
    drop(python)
    assert not cache.is_built(())
    await cache.build(())
    assert run(python, "print(1)").strip() == "1"


async def test_a_package_that_is_not_there_is_named_with_the_words_of_uv(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    cache = make_cache(tmp_path)
    with pytest.raises(EnvironmentFailed) as caught:
        await cache.build(("no-such-package-of-sampan",))
    assert '"no-such-package-of-sampan"' in caught.value.message
    assert "network" in caught.value.message
    assert cache.log_file(("no-such-package-of-sampan",)).read_text()
    assert [p.suffix for p in tmp_path.iterdir() if p.is_dir()] == []


async def test_a_cancelled_build_leaves_neither_an_environment_nor_its_lock(tmp_path):
    wanted = (write_wheel(tmp_path),)
    cache = make_cache(tmp_path / "env")
    task = asyncio.create_task(cache.build(wanted))
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not cache.is_built(wanted)
    await cache.build(wanted)
    assert cache.is_built(wanted)


HERE = Interpreter("/usr/bin/python3.11", "cpython-3.11", "/src/sampan")


def test_a_failure_leaves_out_what_came_before_the_error():
    message = make_failure(("a",), ("Using Python 3.11", "error: no", "  cause: why"), "/log")
    assert message.startswith('the environment with "a" could not be built: error: no cause: why;')


def test_the_key_is_of_the_requirements_whatever_their_order():
    assert make_key(("a", "b"), HERE) == make_key(("b", "a"), HERE)


@pytest.mark.parametrize(
    "other",
    [
        Interpreter("/usr/bin/python3.12", "cpython-3.12", "/src/sampan"),
        Interpreter("/usr/bin/python3.11", "cpython-3.11", "/elsewhere/sampan"),
    ],
    ids=["another Python", "another installation of Sampan"],
)
def test_the_key_differs_for(other):
    assert make_key(("a",), HERE) != make_key(("a",), other)


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("error: dns error: failed to lookup address", "connect to the network"),
        ("No solution found when resolving dependencies", "choose a runtimeVersion"),
        ("No space left on device (os error 28)", "make room"),
        ("something else", "read the whole log at /log"),
    ],
)
def test_a_failure_says_what_mends_it(said, mend):
    message = make_failure(("scikit-learn>=1.4",), (said,), "/log")
    assert '"scikit-learn>=1.4"' in message
    assert mend in message

"""Virtual environments of runtimes, built by uv and cached for all daemons of the user.

An environment is data-plane packages plus a link to the `sampan` package that is running, so that
an editable checkout and an installed wheel alike serve models with their own code. It is built in
a temporary folder, moved into place in one rename, and never changed afterwards. The environment
of the interpreter that runs Sampan is not used even where it would do: what a user installs beside
Sampan must not change what serves models.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sampan.machinery.clock import Clock
from sampan.platforms.local.private_file import make_private_folder
from sampan.platforms.local.torch_build import (
    TorchBuild,
    gather_torch_machine,
    select_torch_build,
)

HASH_VERSION = "v1"
_LAST_LINES = 12
_DRAWING = " \u00d7\u2570\u2500\u25b6\u251c\u2502"
"""What uv draws around the lines of an error."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Who an environment is for: the base interpreter and the sampan package linked into it."""

    python: str
    tag: str
    package: str

    @property
    def site_packages(self) -> str:
        """Return the environment's folder of packages, relative to its root."""
        return f"lib/python{self.tag.removeprefix('cpython-')}/site-packages"


class EnvironmentFailed(Exception):
    """An environment that cannot be built; `message` has uv's words and the mend."""

    reason = "EnvironmentFailed"

    def __init__(self, message: str, last_lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.last_lines = last_lines


def current_interpreter() -> Interpreter:
    """Return the interpreter of this process."""
    import sampan

    major, minor = sys.version_info[:2]
    return Interpreter(
        python=os.path.realpath(sys.executable),
        tag=f"cpython-{major}.{minor}",
        package=str(Path(sampan.__file__).resolve().parent),
    )


def make_key(requirements: tuple[str, ...], interpreter: Interpreter) -> str:
    """Return the name of an environment: a hash of all that decides its content. Pure.

    The package's folder is part of it, because two installations of Sampan share the cache and
    each environment links to one of them.
    """
    parts = [
        HASH_VERSION, interpreter.tag, interpreter.python, interpreter.package,
        platform.machine(), *sorted(requirements),
    ]  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


class EnvironmentCache:
    """Builds environments under `root`. Safe with several processes building at once."""

    def __init__(self, root: Path, interpreter: Interpreter, clock: Clock) -> None:
        self._root = root
        self._interpreter = interpreter
        self._clock = clock

    def python(self, requirements: tuple[str, ...]) -> str:
        """Return the path of the interpreter of an environment, built or not."""
        return str(self._root / make_key(requirements, self._interpreter) / "bin" / "python")

    def is_built(self, requirements: tuple[str, ...]) -> bool:
        """Tell whether an environment is there (a few system calls: well under 1 ms)."""
        folder = self._root / make_key(requirements, self._interpreter)
        linked = folder / self._interpreter.site_packages / "sampan"
        # exists() follows the links: a removed interpreter or package means building anew.
        return (
            (folder / "complete").exists() and (folder / "bin/python").exists() and linked.exists()
        )

    def log_file(self, requirements: tuple[str, ...]) -> Path:
        """Return where the words of the last build are."""
        return self._root / f"{make_key(requirements, self._interpreter)}.log"

    async def build(
        self, requirements: tuple[str, ...], on_line: Callable[[str], None] = lambda _: None
    ) -> str:
        """Return the environment's interpreter, building it unless it is there.

        `on_line` gets uv's progress. Raises EnvironmentFailed.
        """
        if self.is_built(requirements):
            return self.python(requirements)
        make_private_folder(self._root)
        async with self._locked(make_key(requirements, self._interpreter)):
            if not self.is_built(requirements):  # another builder may have been quicker
                await self._build(requirements, on_line)
        return self.python(requirements)

    async def _build(self, requirements: tuple[str, ...], on_line: Callable[[str], None]) -> None:
        key = make_key(requirements, self._interpreter)
        final = self._root / key
        for left in self._root.glob(f".{key}-*"):  # by a builder that was killed: we hold its lock
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=self._root))
        try:
            with self.log_file(requirements).open("w") as log:
                run = _Uv(log.fileno(), self.log_file(requirements), on_line)
                await self._fill(temporary, requirements, run)
            _write_manifest(temporary, requirements, self._interpreter)
            _publish(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    async def _fill(self, folder: Path, requirements: tuple[str, ...], run: _Uv) -> None:
        await run(
            ["venv", "--quiet", "--relocatable", "--no-project", "--no-config", "--allow-existing",
             "--python", self._interpreter.python, str(folder)],
            requirements,
        )  # fmt: skip
        if requirements:
            python = str(folder / "bin" / "python")
            install = ["pip", "install", "--no-progress", "--python", python]
            await self._install(install, requirements, run)
        link = folder / self._interpreter.site_packages / "sampan"
        link.symlink_to(self._interpreter.package)

    async def _install(self, install: list[str], requirements: tuple[str, ...], run: _Uv) -> None:
        """Install packages; PyTorch as this machine can use it, else as the index has it."""
        machine = gather_torch_machine(os.environ, sys.platform)
        tag = self._interpreter.tag.replace("cpython-", "cp").replace(".", "")
        build = select_torch_build(requirements, machine, tag)
        if build is not None:
            with tempfile.TemporaryDirectory(prefix=".torch-", dir=self._root) as folder:
                own = [*build.arguments, *_write_torch_files(build, Path(folder))]
                try:
                    await run([*install, *own, *requirements], requirements)
                except EnvironmentFailed:
                    run.tell("PyTorch's build for CPUs is not to be had; trying the index's build")
                else:
                    return
        await run([*install, *requirements], requirements)

    @contextlib.asynccontextmanager
    async def _locked(self, key: str) -> AsyncIterator[None]:
        # Polled, not waited for in a thread: a cancelled task must not leave a thread that later
        # takes the lock. The kernel frees it when a builder dies.
        handle = os.open(self._root / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await self._clock.sleep(0.1)
            yield
        finally:
            os.close(handle)


class _Uv:
    """Runs uv with its output in a log, and reads what it says as it comes."""

    def __init__(self, log: int, log_path: Path, on_line: Callable[[str], None]) -> None:
        self._log = log
        self._log_path = log_path
        self._on_line = on_line

    def tell(self, line: str) -> None:
        """Say something of our own where uv's words go."""
        os.write(self._log, f"{line}\n".encode())
        self._on_line(line)

    async def __call__(self, arguments: list[str], requirements: tuple[str, ...]) -> None:
        """Run uv; raise EnvironmentFailed when it does not exit with 0."""
        process = await asyncio.create_subprocess_exec(
            _find_uv(), *arguments, "--color", "never",
            env=_uv_environment(os.environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        lines: list[str] = []
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            async for raw in process.stdout:
                os.write(self._log, raw)
                lines.append(raw.decode(errors="replace").rstrip())
                self._on_line(lines[-1])
            code = await process.wait()
        finally:
            if process.returncode is None:  # cancelled: uv must not go on by itself
                process.kill()
                await process.wait()
        if code != 0:
            last = tuple(line for line in lines if line.strip())[-_LAST_LINES:]
            raise EnvironmentFailed(make_failure(requirements, last, str(self._log_path)), last)


def _write_torch_files(build: TorchBuild, folder: Path) -> list[str]:
    """Write what uv reads from files, and return the arguments that name them."""
    arguments: list[str] = []
    for flag, lines in (("--constraints", build.constraints), ("--overrides", build.overrides())):
        if lines:
            file = folder / f"{flag[2:]}.txt"
            file.write_text("\n".join(lines) + "\n")
            arguments += [flag, str(file)]
    return arguments


def make_failure(requirements: tuple[str, ...], last: tuple[str, ...], log: str) -> str:
    """Return the message of a failed build: uv's words and what would mend it. Pure."""
    lines = [line.strip(_DRAWING) for line in last]
    # What uv says before its error tells how far it came, not what went wrong.
    first = next((i for i, line in enumerate(lines) if line.startswith("error")), 0)
    said = " ".join(lines[first:]) or "uv ended without a word"
    wanted = ", ".join(f'"{item}"' for item in requirements)
    offline = ("dns error", "connect", "network", "offline", "timed out", "resolve host")
    if any(word in said.lower() for word in offline):
        mend = "connect to the network, or point UV_INDEX_URL at an index that can be reached"
    elif "no solution found" in said.lower():
        mend = "choose a runtimeVersion that exists for this Python and platform"
    elif "no space left" in said.lower():
        mend = "make room on the disk of the cache folder"
    else:
        mend = f"read the whole log at {log}"
    return f"the environment with {wanted} could not be built: {said}; {mend}"


def _find_uv() -> str:
    from uv import find_uv_bin

    try:
        return os.fspath(find_uv_bin())
    except FileNotFoundError:
        found = shutil.which("uv")
    if found is None:
        raise EnvironmentFailed(
            'the program "uv" is missing from this installation; install it with "pip install uv"'
        )
    return found


def _uv_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    # The user's index, proxies and certificates hold; an activated environment must not.
    dropped = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT"}
    return {k: v for k, v in inherited.items() if k not in dropped}


def _publish(temporary: Path, final: Path) -> None:
    if final.exists():  # incomplete, or its interpreter is gone
        shutil.rmtree(final)
    temporary.rename(final)


def _write_manifest(folder: Path, requirements: tuple[str, ...], interpreter: Interpreter) -> None:
    told = {"requirements": sorted(requirements), "python": interpreter.python}
    (folder / "complete").write_text(json.dumps(told) + "\n")

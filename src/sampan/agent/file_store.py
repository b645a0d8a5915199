"""A folder of this machine, or of a volume that is mounted here, as a store of the log."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from sampan.agent.log import Trouble
from sampan.agent.store_sink import Put


def make_file_put(root: Path) -> Put:
    """Return what writes objects below a folder: whole or not at all, for nobody else to read."""

    async def put(key: str, content: bytes) -> Trouble | None:
        try:
            await asyncio.to_thread(_write, root / key, content)
        except OSError as error:
            return Trouble(f'"{root / key}" cannot be written ({error.strerror or error})')
        return None

    return put


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

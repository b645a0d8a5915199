"""Which zygote will be needed next: the one that was needed last.

A daemon that is started for one service lets it import while the daemon itself starts. A wrong
guess costs one import and its memory, never an answer: a zygote is only used for replicas to which
it is equal (`zygote.make_key`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sampan.platforms.local.process import Zygote

_KEPT = (
    "PYTHONUNBUFFERED", "PYTHONNOUSERSITE", "VIRTUAL_ENV", "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
)  # fmt: skip
"""What the local platform itself gives a replica. Nothing else is written down: the variables of a
service may hold secrets, and those of the user are known when they are needed."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A file that remembers one zygote. `inherited`: what replicas get of the user's variables."""

    path: Path
    inherited: Mapping[str, str]

    def note(self, zygote: Zygote, env: Mapping[str, str]) -> None:
        """Remember a zygote, where its environment can be made again from what may be kept."""
        kept = {name: env[name] for name in _KEPT if name in env}
        told = {"zygote": asdict(zygote), "env": kept}
        if self._env(zygote, kept) != env or told == self._told():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.path.with_suffix(".partial")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(told, out)
        partial.replace(self.path)

    def read(self) -> tuple[Zygote, dict[str, str]] | None:
        """Return what was remembered, with its environment as it would be now; None for nothing."""
        told = self._told()
        try:
            found = Zygote(**{**told["zygote"], "preload": tuple(told["zygote"]["preload"])})
            env = self._env(found, told["env"])
        except (KeyError, TypeError):
            return None
        return (found, env) if Path(found.python).exists() else None

    def _env(self, zygote: Zygote, kept: Mapping[str, str]) -> dict[str, str]:
        folder = zygote.python.rpartition("/")[0]
        path = f"{folder}:{self.inherited.get('PATH', '/usr/bin:/bin')}"
        return {**self.inherited, **kept, "PATH": path}

    def _told(self) -> dict[str, Any]:
        try:
            told = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

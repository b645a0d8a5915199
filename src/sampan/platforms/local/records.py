"""What the launcher remembers of each replica: one JSON file, so that a new daemon adopts it.

`replicas/{replica}/record.json` is replaced atomically before and after each start, so that at
any moment a crash leaves the truth or an intent behind. The folder also holds the files named in
`zygote_child`. Files are 0600 and folders 0700: a record holds the replica's environment.

Not synced to the disk: a crash of the machine ends the replicas as well.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sampan.machinery.registry import JsonObject
from sampan.plan.observed import Exit, Link, LinkState
from sampan.plan.types import ServiceKey
from sampan.platforms.local.devices import Reservation
from sampan.platforms.local.process import ProcessSpec, ProcessState, Zygote

VERSION = 1

_GONE = ".gone-"  # no replica's name begins with a dot

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class BadRecord(Exception):
    """A record file that cannot be read as one."""


@dataclass(frozen=True, slots=True)
class Record:
    """A replica's state and what only the launcher needs to know of it.

    `uid` is unique to one start and marks the process. `crashes` is the length of the present
    series (`BackOff`). `stop_at` is when a stop that has begun turns into SIGKILL (0: none).
    """

    state: ProcessState
    uid: str = ""
    boot_id: str = ""
    crashes: int = 0
    stop_at: float = 0.0


def validate_name(replica: str) -> None:
    """Raise ValueError unless the name is a DNS subdomain, and so a safe file name."""
    if not _NAME.fullmatch(replica) or ".." in replica:
        raise ValueError(
            f'the replica name "{replica}" is not a DNS subdomain; use lower-case letters, '
            'digits, "-" and "."'
        )


class Records:
    """The folder of records. One writer: the daemon that holds the state folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        for left in folder.glob(f"{_GONE}*"):
            shutil.rmtree(left, ignore_errors=True)

    def folder(self, replica: str) -> Path:
        """Return the replica's own folder, made when it is not there."""
        validate_name(replica)
        path = self._folder / replica
        path.mkdir(exist_ok=True, mode=0o700)
        return path

    def names(self) -> tuple[str, ...]:
        """Return every replica that has a folder here."""
        entries = (p.name for p in self._folder.iterdir() if p.is_dir())
        return tuple(sorted(n for n in entries if _NAME.fullmatch(n)))

    def write(self, record: Record) -> None:
        """Replace the replica's record."""
        path = self.folder(record.state.spec.replica) / "record.json"
        partial = path.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(encode(record)), encoding="utf-8")
        partial.replace(path)

    def read(self, replica: str) -> Record:
        """Return the replica's record; raise BadRecord."""
        path = self._folder / replica / "record.json"
        try:
            return decode(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadRecord(f'"{path}" is not a record: {error}') from error

    def remove(self, replica: str) -> None:
        """Forget the replica; it is no error when nothing is known of it."""
        validate_name(replica)
        # Moved first: a zygote may be writing `exit.json` there, and a folder that is written to
        # while it is emptied stays.
        gone = tempfile.mkdtemp(prefix=_GONE, dir=self._folder)
        with contextlib.suppress(FileNotFoundError):
            (self._folder / replica).replace(gone)
        shutil.rmtree(gone, ignore_errors=True)


def encode(record: Record) -> JsonObject:
    """Return the record as JSON. Inverse of `decode`."""
    return {"version": VERSION, **asdict(record)}


def decode(data: JsonObject) -> Record:
    """Return the record of its JSON; raise KeyError, TypeError or ValueError when it is none."""
    if data["version"] != VERSION:
        raise ValueError(f'version "{data["version"]}" is not "{VERSION}"')
    fields = {k: v for k, v in data.items() if k not in ("version", "state")}
    return Record(_decode_state(data["state"]), **fields)


def _decode_state(data: JsonObject) -> ProcessState:
    fields = dict(data)
    fields["spec"] = _decode_spec(fields["spec"])
    fields["ports"] = {int(port): local for port, local in fields["ports"].items()}
    fields["load"] = Link(**{**fields["load"], "state": LinkState(fields["load"]["state"])})
    fields["last_exit"] = _decode_exit(fields["last_exit"])
    return ProcessState(**fields)


def _decode_spec(data: JsonObject) -> ProcessSpec:
    fields = dict(data)
    fields["service"] = ServiceKey(**fields["service"])
    fields["argv"] = tuple(fields["argv"])
    fields["ports"] = tuple(fields["ports"])
    fields["beside"] = tuple(fields.get("beside") or ())
    fields["devices"] = tuple(
        Reservation(one["kind"], tuple(one["devices"])) for one in fields.get("devices") or ()
    )
    zygote: Any = fields["zygote"]
    if zygote is not None:
        fields["zygote"] = Zygote(**{**zygote, "preload": tuple(zygote["preload"])})
    return ProcessSpec(**fields)


def _decode_exit(data: JsonObject | None) -> Exit | None:
    if data is None:
        return None
    return Exit(**{**data, "last_lines": tuple(data["last_lines"])})

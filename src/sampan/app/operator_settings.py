"""What the operator of a daemon sets: `SAMPAN_*` variables over `config.yaml`. Read once.

    storage:
      allowPrivateSources: [models.lan, 10.0.0.0/8]   # SAMPAN_ALLOW_PRIVATE_SOURCES=models.lan,...
      reserveBytes: 512Mi                             # SAMPAN_RESERVE_BYTES
      stallSeconds: 30                                # SAMPAN_STALL_SECONDS

`SETTINGS` is the whole list; `docs/reference/settings.md` shows it. A setting that is misspelt or
cannot be read keeps the daemon from starting: whoever wrote it relies on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.machinery.quantity import QuantityError, parse_quantity
from sampan.machinery.suggest import suggest
from sampan.storage.base import FetchOptions

if TYPE_CHECKING:
    from sampan.api.yamlfile import Document

PREFIX = "SAMPAN_"
SECTION = "storage"

_ENTRY = re.compile(r"\*|[A-Za-z0-9._:-]+(?:/\d{1,3})?")
"""A host name, an address or a network: what the guard of addresses compares with."""


class OperatorSettingsError(ValueError):
    """Settings that cannot be used; a line for each, with the value and the mend."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `field` is that of FetchOptions; `read` raises ValueError saying what it wants.

    The variable's name follows from the key's: `stallSeconds` is `SAMPAN_STALL_SECONDS`.
    """

    key: str
    field: str
    read: Callable[[Any], Any]
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.key).upper()


def read_sources(value: Any) -> tuple[str, ...]:
    """Return a list, or a text divided by commas, of hosts, addresses, networks or `*`."""
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(e, str) for e in entries):
        raise ValueError("write a list of host names, addresses or networks")
    named = tuple(e.strip() for e in entries if e.strip())
    wrong = next((e for e in named if not _ENTRY.fullmatch(e)), None)
    if wrong is not None:
        raise ValueError(f'"{wrong}" is no host name, address or network; write "models.lan"')
    return named


def read_bytes(value: Any) -> int:
    """Return a size of at least 0: a number of bytes or a quantity as `512Mi`."""
    try:
        size = parse_quantity(value).ceiling()
    except QuantityError:
        size = -1
    if size < 0:
        raise ValueError('write a number of bytes, or a size as "512Mi"')
    return size


def read_seconds(value: Any) -> float:
    """Return seconds above 0."""
    seconds = _number(value)
    if not 0 < seconds < float("inf"):
        raise ValueError('write a number of seconds above 0, as "30"')
    return seconds


def read_days(value: Any) -> float:
    """Return days of at least 0."""
    days = _number(value)
    if days < 0:
        raise ValueError('write a number of days from 0, as "30"')
    return days


def read_count(value: Any) -> int:
    """Return a whole number from 1."""
    count = _number(value)
    if count < 1 or count != int(count):
        raise ValueError('write a whole number from 1, as "5"')
    return int(count)


def read_ratio(value: Any) -> float:
    """Return a factor of at least 1."""
    ratio = _number(value)
    if not 1 <= ratio < float("inf"):
        raise ValueError('write a number from 1, as "200"')
    return ratio


def _number(value: Any) -> float:
    """Return what reads as a finite number, -1 for everything else."""
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return -1.0
    return number if number - number == 0 else -1.0


SETTINGS = (
    Setting(
        "allowPrivateSources",
        "allowed_private_hosts",
        read_sources,
        "hosts that models may come from though their addresses are private or loopback; "
        "`*` allows all of these, but never link-local addresses",
    ),
    Setting(
        "reserveBytes",
        "reserve_bytes",
        read_bytes,
        "bytes of the disk that stay free after a download",
    ),
    Setting(
        "stallSeconds",
        "stall_seconds",
        read_seconds,
        "seconds without a byte after which a download is given up and tried again",
    ),
    Setting("connectSeconds", "connect_seconds", read_seconds, "seconds to reach a source"),
    Setting("downloadAttempts", "attempts", read_count, "how often one download is tried"),
    Setting("maxModelBytes", "max_bytes", read_bytes, "the largest model, unpacked"),
    Setting("maxArchiveFiles", "max_files", read_count, "the most members of an archive"),
    Setting(
        "maxArchiveRatio",
        "max_ratio",
        read_ratio,
        "how many times its own size an archive may unpack to",
    ),
    Setting(
        "maxCacheBytes",
        "cache_bytes",
        read_bytes,
        "what the cache of models is pruned to, of what no service uses; 0: no limit",
    ),
    Setting(
        "maxCacheDays",
        "cache_days",
        read_days,
        "days without use after which a model that no service uses leaves the cache; 0: never",
    ),
)
"""Every setting, in the order of the reference page."""


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """Settings as read. `storage` holds the FetchOptions fields that are set."""

    storage: Mapping[str, Any]

    def fetch_options(self, cache: Path, volumes: Path) -> FetchOptions:
        """Return the options of every fetch of this daemon."""
        return FetchOptions(cache=cache, volumes=volumes, **self.storage)


@dataclass(slots=True)
class _Written:
    """What is written, by setting: the value and its place; and what is wrong."""

    values: dict[str, tuple[Any, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_operator_settings(file: Path, environ: Mapping[str, str]) -> OperatorSettings:
    """Return the settings of a file, which may be absent, and of the environment, which wins.

    Raise OperatorSettingsError naming everything that is wrong with either.
    """
    written = _Written()
    _read_file(file, written)
    written.problems += _misspelt(environ)
    for setting in SETTINGS:
        if environ.get(setting.variable):
            written.values[setting.key] = (environ[setting.variable], setting.variable)
    values = dict(_read_values(written))
    if written.problems:
        raise OperatorSettingsError("\n".join(written.problems))
    return OperatorSettings(values)


def _read_values(written: _Written) -> Iterator[tuple[str, Any]]:
    for setting in SETTINGS:
        if setting.key not in written.values:
            continue
        value, place = written.values[setting.key]
        try:
            yield setting.field, setting.read(value)
        except ValueError as error:
            written.problems.append(f'{place}: "{value}" cannot be used; {error}')


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    """Name the variables that are nearly a setting's; other programs may have `SAMPAN_*` too."""
    known = {setting.variable.removeprefix(PREFIX) for setting in SETTINGS}
    for name in sorted(environ):
        own = name.removeprefix(PREFIX)
        near = suggest(own, known) if own != name and own not in known else None
        if near:
            yield f'the variable "{name}" sets nothing; did you mean "{PREFIX}{near}"'


def _read_file(file: Path, written: _Written) -> None:
    """Add what a file sets, and what is wrong with the file."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        written.problems.append(f'"{file}" cannot be read: {error}; see to its rights or remove it')
        return
    from sampan.api.yamlfile import YamlError, parse_documents

    try:
        documents = parse_documents(text, str(file))
    except YamlError as error:
        written.problems.append(str(error))
        return
    for document in documents:
        _read_document(document, written)


def _read_document(document: Document, written: _Written) -> None:
    def place(path: str) -> str:
        return f"{document.source}:{document.line_of(path)}"

    keys = [setting.key for setting in SETTINGS]
    written.problems += [f"{place(k)}: {text}" for k, text in _strangers(document.obj, [SECTION])]
    section = document.obj.get(SECTION) or {}
    if not isinstance(section, Mapping):
        text = f'"{SECTION}" is no object; write settings as "{keys[0]}" below it'
        written.problems.append(f"{place(SECTION)}: {text}")
        return
    for key, text in _strangers(section, keys):
        written.problems.append(f"{place(f'{SECTION}.{key}')}: {text}")
    for key in section:
        if key in keys:
            path = f"{SECTION}.{key}"
            written.values[key] = (section[key], f"{place(path)}: {path}")


def _strangers(given: Iterable[str], known: list[str]) -> Iterator[tuple[str, str]]:
    for key in given:
        if key not in known:
            near = suggest(key, known)
            mend = f'did you mean "{near}"' if near else f"known are {', '.join(known)}"
            yield key, f'unknown setting "{key}"; {mend}'

"""What the code inside a TorchScript file may call. Read before PyTorch runs any of it. Pure.

TorchScript is a program: it can open files (`torch.from_file`, `torch.save`) and call operators of
other libraries, some of it while it is loaded (`__setstate__`). Arithmetic on tensors is all that a
model needs, so the rest is refused unless the operator trusts the model.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from pathlib import Path

_CALL = re.compile(r"\b(torch|ops)\.([A-Za-z_][\w.]*)\s*\(")
_FILES = frozenset({"from_file", "save", "load", "_load_from_file", "load_library"})
_OPERATORS = frozenset({"aten", "prim", "quantized"})
"""Namespaces of PyTorch's own operators, as `ops.NAMESPACE.name`."""
_MOST_CODE = 64 * 1024 * 1024


class NotTorchScript(Exception):
    """The file is no archive with TorchScript's code; the text says what it is."""


def find_forbidden(path: Path) -> str:
    """Return the first call that a model has no need of, "" where there is none.

    NotTorchScript for what PyTorch would not load as TorchScript.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist()]
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:  # readers differ in which of the two they take
                raise NotTorchScript(f'an archive that holds "{twice[0]}" twice')
            if not any(name.endswith("/constants.pkl") for name in names):
                raise NotTorchScript(_kind(names))
            for name in names:
                if name.endswith(".py"):
                    found = _search(archive, name)
                    if found:
                        return found
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise NotTorchScript(f"no archive ({error})") from None
    return ""


def _search(archive: zipfile.ZipFile, name: str) -> str:
    if archive.getinfo(name).file_size > _MOST_CODE:
        raise NotTorchScript(f'an archive whose "{name}" is too large for code')
    text = archive.read(name).decode("utf-8", "replace")
    for root, call in _CALL.findall(text):
        head, _, last = call.rpartition(".")
        if root == "ops" and head.partition(".")[0] not in _OPERATORS:
            return f"ops.{call}"
        if last in _FILES:
            return f"{root}.{call}"
    return ""


def _kind(names: list[str]) -> str:
    if any(name.endswith("/archive_format") for name in names):
        return "a program of torch.export"
    if any(name.endswith("/data.pkl") for name in names):
        return "weights or an object that torch.save wrote"
    return "an archive of something else"

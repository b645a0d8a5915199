"""What a pod tells about downloads: headers of hosts, private addresses, patterns. Pure.

KServe, credentials: a Secret with `https-host` becomes the variable `HOST-headers`, which holds a
JSON object (older documentation: lines of `name: value`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sampan.storage.addresses import ALL
from sampan.storage.base import FetchOptions
from sampan.storage.patterns import Patterns, parse_list

HEADERS = "-headers"
PRIVATE = "SAMPAN_ALLOW_PRIVATE_SOURCES"
CLAIMS = "/mnt/pvc"
"""Where the controller mounts claims that are downloaded from."""


def make_pod_options(environment: Mapping[str, str], cache: Path) -> FetchOptions:
    """Return the options of a download in a pod; ValueError for a variable that cannot be read.

    Stores of a cluster have private addresses, and what a pod may reach is its NetworkPolicy's to
    say: they are allowed unless `SAMPAN_ALLOW_PRIVATE_SOURCES` names some. Link-local addresses,
    where clouds hold credentials, are refused all the same.
    """
    named = tuple(n.strip() for n in environment.get(PRIVATE, "").split(",") if n.strip())
    return FetchOptions(
        cache=cache,
        volumes=Path(CLAIMS),
        allowed_private_hosts=named or (ALL,),
        host_headers=make_host_headers(environment),
        environment=dict(environment),
        ambient=True,
        patterns=make_patterns(environment),
    )


def make_host_headers(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the headers of each host that a variable names; ValueError for what is none."""
    return {
        name.removesuffix(HEADERS).lower(): parse_headers(name, text)
        for name, text in environment.items()
        if name.endswith(HEADERS) and name != HEADERS
    }


def make_patterns(environment: Mapping[str, str]) -> Patterns:
    """Return which files are wanted; ValueError for what is no list."""
    names = ("STORAGE_ALLOW_PATTERNS", "STORAGE_IGNORE_PATTERNS")
    allow, ignore = (parse_list(name, environment.get(name, "")) for name in names)
    return Patterns(allow, ignore)


def parse_headers(name: str, text: str) -> dict[str, str]:
    """Return the headers in a variable. Errors name the variable and never its value."""
    try:
        found = json.loads(text)
    except ValueError:
        return _parse_lines(name, text)
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise ValueError(f'variable "{name}" is no JSON object of texts; {_MEND}')
    return found


_MEND = 'write {"Authorization": "Bearer ..."} in the key "headers" of its Secret'


def _parse_lines(name: str, text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        key, colon, value = line.partition(":")
        if not colon or not key.strip():
            raise ValueError(
                f'variable "{name}" holds neither JSON nor lines "name: value"; {_MEND}'
            )
        headers[key.strip()] = value.strip()
    return headers

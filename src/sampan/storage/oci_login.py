"""Who a registry is asked as: the files that `docker login` and pull Secrets write.

KServe projects a pod's pull Secret and names it by `KSERVE_OCI_DOCKER_CONFIG`; a person's own file
is `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`. Only the person's own file may name a
program that is asked for a password.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.oci_reference import DOCKER_HUB, Reference

CONFIG = "KSERVE_OCI_DOCKER_CONFIG"
PROJECTED = "/mnt/oci-fetch-auth/config.json"
"""Where KServe's webhook puts it."""

_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_HUB_SERVER = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_HELPER_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Login:
    """`basic` is user:password in base64, `bearer` a token as it is; both empty: anonymous."""

    basic: str = field(repr=False, default="")
    bearer: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class _Config:
    place: str
    content: Mapping[str, Any] = field(repr=False)
    own: bool


async def gather_login(reference: Reference, options: FetchOptions) -> Login:
    """Return the login for a repository, anonymous where no file has one; raise StorageError."""
    config = await asyncio.to_thread(_read_config, options)
    if config is None:
        return Login()
    entry = select_entry(reference, config.content.get("auths", {}))
    if entry:
        return make_login(entry, reference, config.place)
    helpers = config.content.get("credHelpers")
    helpers = helpers if isinstance(helpers, Mapping) else {}
    names = _HUB_NAMES if reference.registry == DOCKER_HUB else (reference.registry,)
    helper = next((helpers[n] for n in names if n in helpers), config.content.get("credsStore"))
    if not helper or not config.own:
        return Login()
    return await _ask_helper(str(helper), reference)


def select_entry(reference: Reference, auths: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entry that fits a repository most closely, empty for none. Pure.

    Keys are hosts, addresses (`https://host/v1/`), or hosts with the beginning of a repository.
    """
    known = {re.sub(r"^https?://|/v[12]/?$|/$", "", key): entry for key, entry in auths.items()}
    for name in _names(reference):
        entry = known.get(name)
        if isinstance(entry, Mapping) and entry:
            return entry
    return {}


def _names(reference: Reference) -> Iterator[str]:
    hosts = _HUB_NAMES if reference.registry == DOCKER_HUB else (reference.registry,)
    parts = reference.repository.split("/")
    for length in range(len(parts), -1, -1):
        for host in hosts:
            yield "/".join([host, *parts[:length]])


def make_login(entry: Mapping[str, Any], reference: Reference, place: str) -> Login:
    """Return what an entry of a file says; raise StorageError. Pure."""
    if entry.get("registrytoken"):
        return Login(bearer=str(entry["registrytoken"]))
    if entry.get("identitytoken"):
        raise StorageError(
            "AuthenticationFailed",
            f'the login for "{reference.registry}" in "{place}" is an identity token, which is not '
            "exchanged here; log in with a user and a password or access token",
        )
    if entry.get("username"):
        pair = f"{entry['username']}:{entry.get('password', '')}"
        return Login(b64encode(pair.encode()).decode())
    text = str(entry.get("auth") or "")
    try:
        usable = ":" in b64decode(text, validate=True).decode()
    except (Base64Error, UnicodeDecodeError):
        usable = False
    if text and not usable:
        raise StorageError(
            "AuthenticationFailed",
            f'the login for "{reference.registry}" in "{place}" is not user:password in base64; '
            "log in again, or write the Secret anew",
        )
    return Login(text)


def _read_config(options: FetchOptions) -> _Config | None:
    environment = options.environment
    named = environment.get(CONFIG) or PROJECTED
    home = environment.get("HOME")
    own = environment.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else "")
    if named in options.files:
        return _Config(named, _decode(options.files[named], named), own=False)
    for place, whose in ((named, False), (f"{own}/config.json" if own else "", True)):
        with suppress(FileNotFoundError, NotADirectoryError):
            if place:
                return _Config(place, _decode(Path(place).read_text("utf-8"), place), own=whose)
    return None


def _decode(text: str, place: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, Mapping) or not isinstance(found.get("auths", {}), Mapping):
        raise StorageError(
            "AuthenticationFailed",
            f'the logins of registries in "{place}" are no JSON object with "auths"; log in '
            "again, or write the Secret anew",
        )
    return found


async def _ask_helper(helper: str, reference: Reference) -> Login:
    """Ask the program that keeps a person's passwords; anonymous where it has none.

    docker-credential-helpers: `get` reads the server's name and writes Username and Secret.
    """
    if not _HELPER.fullmatch(helper):
        return Login()
    server = _HUB_SERVER if reference.registry == DOCKER_HUB else reference.registry
    try:
        process = await asyncio.create_subprocess_exec(
            f"docker-credential-{helper}", "get", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:
        return Login()
    told = b""
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_HELPER_SECONDS):
                told, _ = await process.communicate(server.encode())
    finally:
        if process.returncode is None:  # too slow, or the fetch was called off
            process.kill()
            await process.wait()
    with suppress(ValueError, KeyError, TypeError):
        found = json.loads(told)
        return Login(b64encode(f"{found['Username']}:{found['Secret']}".encode()).decode())
    return Login()

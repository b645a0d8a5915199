"""The context `sampan` in the user's kubeconfig: added, refreshed and removed, others untouched.

kubectl sends a token over TLS only, so the cluster is `https://` with our own authority. The
user's current context stays theirs unless there was none, or they ask for ours.
"""

from __future__ import annotations

import base64
import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sampan.apiserver.private_file import write_private
from sampan.machinery.registry import JsonObject

NAME = "sampan"
LISTS = ("clusters", "users", "contexts")
LOCK_SECONDS = 10.0


class KubeconfigError(Exception):
    """The kubeconfig cannot be read or written; the text says which file and what mends it."""


def make_entry(server: str, token: str, authority: bytes, namespace: str = "default") -> JsonObject:
    """Return the cluster, user and context of a server. Pure."""
    cluster: JsonObject = {"server": server}
    if authority:
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    context = {"cluster": NAME, "user": NAME, "namespace": namespace}
    return {"clusters": cluster, "users": {"token": token}, "contexts": context}


def make_with_context(
    config: Mapping[str, Any], entry: JsonObject, *, use_context: bool = False
) -> JsonObject:
    """Return a kubeconfig with our context, current only if asked or if none was. Pure."""
    new: JsonObject = {"apiVersion": "v1", "kind": "Config", **config}
    for section in LISTS:
        ours = {"name": NAME, section[:-1]: entry[section]}
        new[section] = [*_others(config, section), ours]
    if use_context or not config.get("current-context"):
        new["current-context"] = NAME
    return new


def make_without_context(config: Mapping[str, Any]) -> JsonObject:
    """Return a kubeconfig without our context. Pure."""
    new = dict(config)
    for section in LISTS:
        if section in config:
            new[section] = _others(config, section)
    if new.get("current-context") == NAME:
        new["current-context"] = ""
    return new


def find_kubeconfig(environment: Mapping[str, str] | None = None) -> Path:
    """Return the file that kubectl would write: of `$KUBECONFIG` the first that exists."""
    environment = os.environ if environment is None else environment
    named = [Path(p) for p in environment.get("KUBECONFIG", "").split(os.pathsep) if p]
    for path in named:
        if path.exists():
            return path
    return named[-1] if named else Path.home() / ".kube" / "config"


def write_context(
    path: Path, server: str, token: str, authority: bytes = b"", *, use_context: bool = False
) -> None:
    """Add or refresh our context in a kubeconfig, atomically, 0600; raise KubeconfigError.

    `authority` is the PEM certificate that signed the server's.
    """
    path = path.resolve()  # a kubeconfig that is a link stays one
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(path):
        entry = make_entry(server, token, authority)
        _write(path, make_with_context(_read(path), entry, use_context=use_context))


def remove_context(path: Path) -> bool:
    """Take our context out of a kubeconfig; returns whether it was there."""
    path = path.resolve()
    if not path.exists():
        return False
    with _locked(path):
        config = _read(path)
        if not any(_has_ours(config, section) for section in LISTS):
            return False
        _write(path, make_without_context(config))
    return True


def _others(config: Mapping[str, Any], section: str) -> list[Any]:
    return [e for e in config.get(section) or [] if not _is_ours(e)]


def _has_ours(config: Mapping[str, Any], section: str) -> bool:
    return any(_is_ours(e) for e in config.get(section) or [])


def _is_ours(entry: Any) -> bool:
    return isinstance(entry, Mapping) and entry.get("name") == NAME


def _read(path: Path) -> JsonObject:
    import yaml

    try:
        config = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise KubeconfigError(
            f'the kubeconfig "{path}" cannot be read ({error}); mend it, or name another with '
            "the variable KUBECONFIG"
        ) from None
    if config is None:
        return {}
    sections = (config.get(s) or [] for s in LISTS) if isinstance(config, dict) else (None,)
    if not all(isinstance(s, list) for s in sections):
        raise KubeconfigError(
            f'"{path}" is no kubeconfig: clusters, users and contexts are lists there; mend it, '
            "or name another with the variable KUBECONFIG"
        )
    return dict(config)


def _write(path: Path, config: JsonObject) -> None:
    import yaml

    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise KubeconfigError(
            f'the kubeconfig "{path}" cannot be written ({error}); name another with the '
            "variable KUBECONFIG"
        ) from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold kubectl's own lock on a kubeconfig, a file beside it that only one can create."""
    lock = path.with_name(f"{path.name}.lock")
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > until:
                raise KubeconfigError(
                    f'"{lock}" is held by another program; remove it if none is running'
                ) from None
            time.sleep(0.05)
        except OSError as error:
            raise KubeconfigError(
                f'"{lock}" cannot be made ({error}); name another kubeconfig with the variable '
                "KUBECONFIG"
            ) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)

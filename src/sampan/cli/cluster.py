"""A cluster of the user's kubeconfig, as the command line's server.

Read by the standard library and YAML alone, so that `sampan --context NAME get isvc` needs no
further package. Source: Kubernetes, "Organizing Cluster Access Using kubeconfig Files" and
"client-go credential plugins".
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sampan.cli.client import Server
from sampan.cli.output import SYSTEM, USAGE, CliError

PLUGIN_SECONDS = 60.0

Entry = Mapping[str, Any]


def read_cluster(context: str) -> Server:
    """Return the server of a context; raise CliError that names the file and the mend."""
    path, config = _read_config(context)
    found = _named(config, "contexts", "context", context, path)
    cluster = _named(config, "clusters", "cluster", str(found.get("cluster")), path)
    user = _named(config, "users", "user", str(found.get("user")), path)
    url = urlsplit(str(cluster.get("server", "")))
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise CliError(
            f'"{path}": the server of context "{context}" is "{cluster.get("server")}"; '
            "write it as https://HOST:PORT",
            USAGE,
        )
    user = {**user, **_asked_plugin(user.get("exec"))}
    secure = url.scheme == "https"
    return Server(
        host=url.hostname,
        port=url.port or (443 if secure else 80),
        token=_token(user, path),
        pid=0,
        gateway_port=0,
        context=context,
        prefix=url.path.rstrip("/"),
        tls=_make_tls(cluster, user, path) if secure else None,
    )


def _read_config(context: str) -> tuple[Path, Entry]:
    """Return the first file of `$KUBECONFIG` that has the context, and what is in it."""
    import yaml

    told = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    paths = [Path(word) for word in told.split(os.pathsep) if word]
    for path in paths:
        try:
            config = yaml.safe_load(path.read_text()) or {}
        except (OSError, UnicodeDecodeError):
            continue
        except yaml.YAMLError as error:
            raise CliError(f'"{path}" is no YAML ({error})') from None
        if isinstance(config, dict) and _find(config, "contexts", context) is not None:
            return path, config
    listed = ", ".join(f'"{path}"' for path in paths)
    raise CliError(f'no context "{context}" in {listed}; see `kubectl config get-contexts`', USAGE)


def _find(config: Entry, section: str, name: str) -> Entry | None:
    entries = config.get(section) or ()
    return next((e for e in entries if isinstance(e, dict) and e.get("name") == name), None)


def _named(config: Entry, section: str, part: str, name: str, path: Path) -> Entry:
    entry = _find(config, section, name)
    if entry is None:
        raise CliError(f'"{path}" has no "{name}" in its {section}; mend the context', USAGE)
    found = entry.get(part) or {}
    return found if isinstance(found, dict) else {}


def _token(user: Entry, path: Path) -> str:
    if user.get("token"):
        return str(user["token"])
    if user.get("tokenFile"):
        return _beside(path, user["tokenFile"]).read_text().strip()
    return ""


def _beside(path: Path, name: object) -> Path:
    """Return a file that a kubeconfig names: relative to where the kubeconfig is."""
    found = path.parent / str(name)
    if not found.is_file():
        raise CliError(f'"{path}" names "{found}", which is no file', USAGE)
    return found


def _asked_plugin(plugin: Any) -> Entry:
    """Return what a credential plugin says: a token, or a certificate with its key."""
    if not plugin:
        return {}
    words = [str(plugin.get("command")), *map(str, plugin.get("args") or ())]
    given = {str(e["name"]): str(e["value"]) for e in plugin.get("env") or ()}
    info = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential"}
    env = {**os.environ, **given, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    try:
        done = subprocess.run(
            words, env=env, stdout=subprocess.PIPE, check=True, timeout=PLUGIN_SECONDS
        )
        status = json.loads(done.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        text = f'the credential plugin "{words[0]}" of the kubeconfig gave nothing ({error})'
        raise CliError(text, SYSTEM) from None
    parts = {
        "token": status.get("token"),
        "client-certificate-data": _encoded(status.get("clientCertificateData")),
        "client-key-data": _encoded(status.get("clientKeyData")),
    }
    return {key: value for key, value in parts.items() if value}


def _encoded(text: Any) -> str:
    return base64.b64encode(str(text).encode()).decode() if text else ""


def _make_tls(cluster: Entry, user: Entry, path: Path) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", path)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate = _pem(user, "client-certificate", path)
    if certificate:
        _load(context, certificate + b"\n" + _pem(user, "client-key", path))
    return context


def _pem(entry: Entry, name: str, path: Path) -> bytes:
    """Return what `NAME-data` holds, or the file that `NAME` names; b"" where neither is there."""
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"])
    return _beside(path, entry[name]).read_bytes() if entry.get(name) else b""


def _load(context: ssl.SSLContext, chain: bytes) -> None:
    """Load a chain with its key; Python takes them from files only."""
    with tempfile.NamedTemporaryFile(prefix="sampan-") as file:  # 0600, gone at once
        file.write(chain)
        file.flush()
        context.load_cert_chain(file.name)

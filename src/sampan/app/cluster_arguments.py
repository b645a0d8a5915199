"""What the command lines of processes that work on a cluster have in common."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path
from typing import Any

NAMESPACE = "kserve"


def add_cluster(parser: argparse.ArgumentParser, several: str) -> None:
    """Add which cluster it is, and who asks; `several` names processes of this kind."""
    add = parser.add_argument
    add("--kubeconfig", type=Path, help="in a pod not needed: its ServiceAccount is used")
    add("--context", default="", help="of the kubeconfig, instead of its current one")
    add("--namespace", default="", help="its own; $POD_NAMESPACE, or kserve, where none is given")
    text = f"by which {several} are told apart; $POD_NAME, or the host"
    add("--identity", default="", help=text)
    add("--host", default="127.0.0.1", help="the address to listen on; 0.0.0.0 in a pod")


def parse_cluster(parser: argparse.ArgumentParser, argv: list[str]) -> dict[str, Any]:
    """Return every option by its name, its own namespace and identity among them.

    Exits with 2 on a mistake, as `argparse` does.
    """
    parsed = vars(parser.parse_args(argv))
    host = f"{socket.gethostname()}-{os.getpid()}"
    parsed["identity"] = parsed["identity"] or os.environ.get("POD_NAME") or host
    parsed["namespace"] = parsed["namespace"] or os.environ.get("POD_NAMESPACE") or NAMESPACE
    return parsed


def port_or(zero: str) -> Any:
    """Return a type for a port; `zero` says what 0 stands for."""

    def port(text: str) -> int:
        number = int(text)
        if not 0 <= number < 65536:
            told = f"{number} is no port; give 1 to 65535, or 0 for {zero}"
            raise argparse.ArgumentTypeError(told)
        return number

    return port

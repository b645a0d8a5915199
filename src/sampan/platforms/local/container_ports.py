"""Container ports and where a command names them. Pure.

A pod has its own address, so every container may listen on 8080; processes of one machine share
one. Each container port therefore gets a loopback port at the start, and the args and variables
that name the container port are rewritten to `$(SAMPAN_PORT_n)`, which the launcher expands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.platforms.local.images import LocalCommand

DEFAULT_PORT = 8080
"""KServe's port of a container that declares none (Service target port, default probe)."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The container ports of a replica; `http` is the one that serves HTTP; names to numbers."""

    all: tuple[int, ...]
    http: int
    names: Mapping[str, int]

    def number(self, port: Any) -> int:
        """Return the number of a port given by number or name (an IntOrString); 0: unknown."""
        if isinstance(port, int):
            return port
        text = str(port)
        return int(text) if text.isdigit() else self.names.get(text, 0)


def select_ports(container: Mapping[str, Any], command: LocalCommand | None) -> Ports:
    """Return the ports of a container: those declared, and those that its args name."""
    declared = [p for p in container.get("ports") or () if p.get("containerPort")]
    numbers = [int(p["containerPort"]) for p in declared]
    names = {str(p["name"]): int(p["containerPort"]) for p in declared if p.get("name")}
    http = [int(p["containerPort"]) for p in declared if not _is_grpc(p)]
    named = _flag_ports(list(container.get("args") or ()), command)
    flags = command.port_flags[:1] if command else ()
    # Of a flag that is given twice the last counts: a service's args follow its runtime's.
    own = _flag_ports(list(container.get("args") or ()), command, flags)[-1:] if flags else numbers
    first = next(iter([*http, *own]), DEFAULT_PORT)
    return Ports(tuple(dict.fromkeys([first, *numbers, *named])), first, names)


def join_ports(parts: Sequence[Ports]) -> Ports:
    """Return the ports of containers that share one address; the first container serves."""
    names = {name: port for part in reversed(parts) for name, port in part.names.items()}
    everyone = dict.fromkeys(port for part in parts for port in part.all)
    return Ports(tuple(everyone), parts[0].http, names)


def serves_grpc(container: Mapping[str, Any]) -> bool:
    """Tell whether the port that serves is one of gRPC, by its name."""
    serving = select_ports(container, None).http
    ports = container.get("ports") or ()
    return any(p.get("containerPort") == serving and _is_grpc(p) for p in ports)


def make_port_argument(command: LocalCommand, args: Sequence[str], ports: Ports) -> list[str]:
    """Return the argument that a known server needs when its args leave the port to its default."""
    if not command.port_flags or _flag_ports(list(args), command, command.port_flags[:1]):
        return []
    return [f"{command.port_flags[0]}={ports.http}"]


def rewrite_ports(text: str, ports: Ports) -> str:
    """Return an argument or a variable's value with its container ports made symbolic.

    A port counts where it is the whole text, or follows `=` or `:` and ends there or at a `/`:
    `8080`, `--port=8080`, `0.0.0.0:8080`, `http://localhost:8080/v1`. An address that listens on
    all interfaces becomes loopback, as nothing here may be reached from outside.
    """
    for port in ports.all:
        text = re.sub(rf"(^|[=:]){port}(?=$|/)", rf"\g<1>$(SAMPAN_PORT_{port})", text)
    return re.sub(r"(^|[=/@])0\.0\.0\.0(?=$|:)", r"\g<1>127.0.0.1", text)


def has_named_port(container: Mapping[str, Any], command: LocalCommand | None) -> bool:
    """Tell whether a container's process learns its port from its args, variables or flags."""
    if not container.get("command"):
        return True  # a known server takes a flag; what is neither known nor a command is not run
    ports = select_ports(container, command)
    texts = [*(container.get("command") or ()), *(container.get("args") or ())]
    texts += [str(item.get("value") or "") for item in container.get("env") or ()]
    return any("$(SAMPAN_PORT_" in rewrite_ports(t, ports) or "PORT" in t for t in texts)


def _flag_ports(
    args: list[str], command: LocalCommand | None, flags: Sequence[str] = ()
) -> list[int]:
    wanted = flags or (command.port_flags if command else ())
    found: list[int] = []
    for i, arg in enumerate(args):
        flag, equals, value = arg.partition("=")
        if flag in wanted:
            value = value if equals else next(iter(args[i + 1 : i + 2]), "")
            found += [int(value)] if value.isdigit() else []
    return found


def _is_grpc(port: Mapping[str, Any]) -> bool:
    # KServe tells gRPC and h2c ports by their names (appProtocol kubernetes.io/h2c).
    name = str(port.get("name") or "")
    return "grpc" in name or "h2c" in name

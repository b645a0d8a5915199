"""The containers of a replica that has several, as one workload. Pure."""

from __future__ import annotations

from dataclasses import replace

from sampan.platforms.local.container_ports import Ports, select_ports
from sampan.platforms.local.desired import DesiredWorkload, Problem
from sampan.platforms.local.main_container import main_container


def join_parts(first: DesiredWorkload, beside: tuple[DesiredWorkload, ...]) -> DesiredWorkload:
    """Return one workload of several containers; the first takes the requests.

    Known servers among them share one environment, of the requirements of all.
    """
    parts = (first, *beside)
    needed = [part.requirements for part in parts if part.requirements is not None]
    joined = tuple(dict.fromkeys(line for lines in needed for line in lines))
    problem = next((part.problem for part in parts if part.problem), None)
    return replace(
        first,
        beside=beside,
        requirements=joined if needed else None,
        problem=problem or _find_port_clash(parts),
    )


def ports_of(part: DesiredWorkload) -> Ports:
    """Return the ports of a workload of one container."""
    return select_ports(main_container(part.template), part.command)


def _find_port_clash(parts: tuple[DesiredWorkload, ...]) -> Problem | None:
    seen: dict[int, str] = {}
    for part in parts:
        name, port = str(main_container(part.template).get("name")), ports_of(part).http
        if port in seen:
            return Problem(
                "PortTwiceInPod",
                f'the containers "{seen[port]}" and "{name}" would both listen on port "{port}"; '
                "give one another port in its args, and name it in --predictor_host of the "
                "transformer",
            )
        seen[port] = name
    return None

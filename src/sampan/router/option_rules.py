"""Where options make sense: what admission and the router refuse of a graph's options. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sampan.router.body_map import RESPONSE, picks
from sampan.router.options import Options, parse_options

RPC = ("grpc://", "grpcs://")
"""How the address of a step begins that is asked by gRPC."""

EXTENSION = "sampan"
"""The key of a step, or of a node, that holds its options in the JSON that the router is told."""

OF_CALLS = ("timeout", "attempts", "hedge", "budget", "headers", "path", "mirror", "stream")
"""Options of a step that asks a service itself."""

NODE_OPTIONS = ("collapse",)


@dataclass(frozen=True, slots=True)
class Misplaced:
    """An option that is refused: its place, as `node/step.option`, and why."""

    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Seat:
    """A step in its node, with its options."""

    node: str
    router_type: str
    index: int
    step: Mapping[str, Any]
    told: Mapping[str, Any]
    options: Options

    @property
    def place(self) -> str:
        """How the step is named in the annotation."""
        return f"{self.node}/{self.step.get('name') or self.index}"


Rule: TypeAlias = Callable[[Seat], Iterator[tuple[str, str]]]


def find_misplaced(nodes: Mapping[str, Any]) -> Iterator[Misplaced]:
    """Yield every option that is none, or that makes no sense where it stands."""
    for name, node in nodes.items():
        if isinstance(node, Mapping):
            yield from _of_node(name, node)
            yield from _of_steps(name, node)


def _of_node(name: str, node: Mapping[str, Any]) -> Iterator[Misplaced]:
    for option, value in (node.get(EXTENSION) or {}).items():
        place = f"{name}.{option}"
        if option not in NODE_OPTIONS:
            known = ", ".join(NODE_OPTIONS)
            yield Misplaced(place, f"is no option of a node; there is: {known}")
        elif not isinstance(value, bool):
            yield Misplaced(place, f"{value!r} is neither true nor false")
        elif value and node.get("routerType") != "Ensemble":
            text = f"a node of type {node.get('routerType')} makes no calls at once; leave it out"
            yield Misplaced(place, text)


def _of_steps(name: str, node: Mapping[str, Any]) -> Iterator[Misplaced]:
    defaults = []
    for index, step in enumerate(node.get("steps") or ()):
        told = step.get(EXTENSION)
        if not told:
            continue
        options, problems = parse_options(told)
        seat = Seat(name, str(node.get("routerType", "")), index, step, told, options)
        for option, text in problems:
            yield Misplaced(f"{seat.place}.{option}", text)
        for rule in RULES:
            for option, text in rule(seat):
                yield Misplaced(f"{seat.place}.{option}", text)
        if options.default:
            defaults.append(seat)
    for seat in defaults[1:]:
        text = f'"{defaults[0].place}" takes the rest already; leave one of them out'
        yield Misplaced(f"{seat.place}.default", text)


def _calls_a_service(seat: Seat) -> Iterator[tuple[str, str]]:
    if not seat.step.get("nodeName"):
        return
    for option in OF_CALLS:
        if option in seat.told:
            inner = seat.step["nodeName"]
            yield option, f'the step enters node "{inner}"; set it on the steps there'


def _mirrors_where_another_answers(seat: Seat) -> Iterator[tuple[str, str]]:
    if not seat.options.mirror:
        return
    if seat.router_type not in {"Sequence", "Ensemble"}:
        text = f"the step of a {seat.router_type} is the one that answers; mirror in a Sequence"
        yield "mirror", text
    for other in ("attempts", "hedge", "fallback"):
        if other in seat.told:
            yield other, "nobody waits for a mirrored call, so that nothing is to be mended"
    if seat.step.get("dependency") == "Hard":
        yield "mirror", "nobody waits for a mirrored call; leave its dependency out"


def _is_a_default_of_a_switch(seat: Seat) -> Iterator[tuple[str, str]]:
    if not seat.options.default:
        return
    if seat.router_type != "Switch":
        yield "default", f"a {seat.router_type} chooses by no condition; leave it out"
    elif seat.step.get("condition"):
        yield "default", "the step has a condition; a default takes what fits no other"


def _maps_what_is_there(seat: Seat) -> Iterator[tuple[str, str]]:
    if seat.options.body is None:
        return
    first = seat.router_type != "Sequence" or not seat.index
    asked = next((p.text for p in picks(seat.options.body) if p.source == RESPONSE), None)
    if first and asked:
        yield "body", f'"{asked}": no answer comes before this step; take it from $request'
    for field in ("data", "mapPredictionsToInstances"):
        if seat.step.get(field):
            yield "body", f"the step has {field} too; leave one of them out"


def _streams_by_grpc(seat: Seat) -> Iterator[tuple[str, str]]:
    url = str(seat.step.get("serviceUrl") or "")
    if seat.options.stream and url and not url.startswith(RPC):
        text = f'it is gRPC\'s ModelStreamInfer, and "{url}" is asked by HTTP, where a step streams'
        yield "stream", f"{text} of itself; write grpc://, or leave the option out"


RULES: tuple[Rule, ...] = (
    _calls_a_service,
    _mirrors_where_another_answers,
    _is_a_default_of_a_switch,
    _maps_what_is_there,
    _streams_by_grpc,
)

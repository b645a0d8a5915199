"""What a model asks of a runtime, and the checks and the order that decide among runtimes.

KServe's automatic selection: a candidate is passed over by the first check that speaks; those left
are put in an order that does not depend on how they were listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.machinery.timestamps import seconds
from sampan.plan.types import RuntimeScope

_PROTOCOL_ORDER = {"v1": 1, "v2": 2, "grpc-v1": 3, "grpc-v2": 4}
_NO_PROTOCOL = 5


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one runtime was not taken. `reason` is CamelCase, `message` a sentence for people."""

    runtime: str
    scope: RuntimeScope
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a model asks of a runtime. `protocol` is empty when the model names none."""

    format: str
    version: str
    protocol: str
    multi_node: bool
    namespace: str
    multi_model: bool = False
    """Whether it is to be one of many in a process (ModelMesh mode)."""

    @property
    def label(self) -> str:
        """`name`, or `name:version` when a version is asked for."""
        return f"{self.format}:{self.version}" if self.version else self.format


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runtime of a scope, read as selection reads it."""

    runtime: Mapping[str, Any]
    scope: RuntimeScope

    @property
    def name(self) -> str:
        """The runtime's name."""
        return str(self.runtime["metadata"]["name"])

    @property
    def spec(self) -> Mapping[str, Any]:
        """The runtime's spec."""
        return self.runtime.get("spec") or {}

    @property
    def formats(self) -> Sequence[Mapping[str, Any]]:
        """Its supported model formats."""
        return self.spec.get("supportedModelFormats") or ()

    @property
    def protocols(self) -> Sequence[str]:
        """The protocols it lists; none means any."""
        return self.spec.get("protocolVersions") or ()


def first_rejection(candidate: Candidate, request: Request) -> Rejection | None:
    """Return what the first check in KServe's order says against a candidate, None if all pass."""
    return (
        check_enabled(candidate)
        or check_sort(candidate, request)
        or check_format(candidate, request, automatic=True)
        or check_protocol_asked(candidate, request)
        or _check_nodes(candidate, request)
    )


def check_enabled(candidate: Candidate) -> Rejection | None:
    """Return a rejection of a disabled runtime."""
    if not candidate.spec.get("disabled"):
        return None
    return _reject(candidate, "Disabled", "it is disabled")


def check_sort(candidate: Candidate, request: Request) -> Rejection | None:
    """Return a rejection of one for many models where one is asked for, and the reverse.

    ModelMesh also wants to know where such a runtime is managed (`grpcEndpoint`).
    """
    many = bool(candidate.spec.get("multiModel"))
    if many and not request.multi_model:
        return _reject(candidate, "MultiModel", "it holds many models in one process (multiModel)")
    if request.multi_model and not many:
        return _reject(candidate, "SingleModel", "it holds one model in a process (no multiModel)")
    if many and not candidate.spec.get("grpcEndpoint"):
        return _reject(candidate, "NoEndpoint", "it has no grpcEndpoint, by which it is managed")
    return None


def check_protocol_asked(candidate: Candidate, request: Request) -> Rejection | None:
    """Return a rejection of one that does not speak what is asked for.

    In ModelMesh mode nothing need be asked for, and `v2` is `grpc-v2` behind its REST proxy.
    """
    if not request.multi_model:
        return check_protocol(candidate, request.protocol)
    by_proxy = request.protocol == "v2" and "grpc-v2" in candidate.protocols
    if by_proxy or not request.protocol:
        return None
    return check_protocol(candidate, request.protocol)


def check_format(c: Candidate, request: Request, *, automatic: bool) -> Rejection | None:
    """Return a rejection of one that lacks the format; `automatic` asks for autoSelect as well."""
    entries = [f for f in c.formats if request.label in _offers(f)]
    if not entries:
        return _reject(c, "FormatNotSupported", f"it supports {listed(_labels(c.formats))}")
    if automatic and not any(f.get("autoSelect") for f in entries):
        return _reject(
            c, "NotAutoSelected", f'it serves "{request.label}" only when named (no autoSelect)'
        )
    return None


def check_protocol(c: Candidate, protocol: str) -> Rejection | None:
    """Return a rejection of one that lists protocols, and not this one."""
    if not c.protocols or protocol in c.protocols:
        return None
    return _reject(c, "ProtocolNotSupported", f'it speaks {listed(c.protocols)}, not "{protocol}"')


def _check_nodes(c: Candidate, request: Request) -> Rejection | None:
    has_workers = c.spec.get("workerSpec") is not None
    if has_workers == request.multi_node:
        return None
    text = "it is for several nodes" if has_workers else "it has no workerSpec for several nodes"
    return _reject(c, "NodesNotSupported", text)


def _reject(candidate: Candidate, reason: str, message: str) -> Rejection:
    return Rejection(candidate.name, candidate.scope, reason, message)


def outranked(other: Candidate, chosen: Candidate) -> Rejection:
    """Return why one that fits was not taken."""
    message = f'it fits, and "{chosen.name}" comes first (scope, priority, protocol, age, name)'
    return _reject(other, "Outranked", message)


def in_order(fitting: Iterable[Candidate], name: str) -> list[Candidate]:
    """Namespace before cluster; then priority, lowest protocol, newest, name."""

    def rank(c: Candidate) -> tuple[bool, bool, int, int, float, str]:
        priority = next((f.get("priority") for f in c.formats if f.get("name") == name), None)
        return (
            c.scope is RuntimeScope.CLUSTER,
            priority is None,
            -int(priority or 0),
            _lowest_protocol(c.protocols),
            -_created(c.runtime),
            c.name,
        )

    return sorted(fitting, key=rank)


def _lowest_protocol(protocols: Sequence[str]) -> int:
    return min((_PROTOCOL_ORDER.get(p, _NO_PROTOCOL) for p in protocols), default=_NO_PROTOCOL)


def lowest_protocol(runtime: Mapping[str, Any]) -> str:
    """Return the first of the runtime's protocols in KServe's order; empty when it lists none."""
    protocols = (runtime.get("spec") or {}).get("protocolVersions") or ()
    return min(protocols, key=lambda p: _PROTOCOL_ORDER.get(p, _NO_PROTOCOL), default="")


def _created(runtime: Mapping[str, Any]) -> float:
    stamp = runtime["metadata"].get("creationTimestamp")
    return seconds(stamp) if stamp else 0.0


def _offers(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What a request may say to mean this entry: `name`, and `name:version` (plain equality)."""
    name, version = str(entry.get("name")), entry.get("version")
    return (name, f"{name}:{version}") if version else (name,)


def _labels(formats: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({_offers(f)[-1] for f in formats})


def listed(words: Iterable[str]) -> str:
    """Return words in double quotes for a message, `none` when there are none."""
    return ", ".join(f'"{word}"' for word in words) or "none"

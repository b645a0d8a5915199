"""Which runtime serves a model, and why each other one does not.

The order and the texts are KServe's (runtime selection): a named runtime is looked up in the
namespace, then in the cluster; otherwise the candidates are filtered, sorted, and the first wins.
After KServe's text follows what was asked for and what would mend it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from sampan.machinery.timestamps import seconds
from sampan.plan.service import model, predictor, service_key
from sampan.plan.types import Blocked, RuntimeScope

NOT_RECOGNIZED = "RuntimeNotRecognized"
DISABLED = "RuntimeDisabled"
NO_SUPPORTING_RUNTIME = "NoSupportingRuntime"

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
class Selection:
    """The selected runtime (an object, empty when `blocked`), and every runtime passed over."""

    runtime: Mapping[str, Any]
    scope: RuntimeScope = RuntimeScope.NONE
    rejected: tuple[Rejection, ...] = ()
    blocked: Blocked | None = None

    @property
    def name(self) -> str:
        """The runtime's name, empty when none was selected."""
        return str(self.runtime["metadata"]["name"]) if self.runtime else ""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a model asks of a runtime. `protocol` is empty when the model names none."""

    format: str
    version: str
    protocol: str
    multi_node: bool
    namespace: str

    @property
    def label(self) -> str:
        return f"{self.format}:{self.version}" if self.version else self.format


@dataclass(frozen=True, slots=True)
class _Candidate:
    runtime: Mapping[str, Any]
    scope: RuntimeScope

    @property
    def name(self) -> str:
        return str(self.runtime["metadata"]["name"])

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.runtime.get("spec") or {}

    @property
    def formats(self) -> Sequence[Mapping[str, Any]]:
        return self.spec.get("supportedModelFormats") or ()

    @property
    def protocols(self) -> Sequence[str]:
        return self.spec.get("protocolVersions") or ()


def select_runtime(
    service: Mapping[str, Any],
    runtimes: Iterable[Mapping[str, Any]],
    cluster_runtimes: Iterable[Mapping[str, Any]],
) -> Selection:
    """Return the runtime for `spec.predictor.model`; `blocked` says why there is none.

    The order in which the runtimes are given plays no part.
    """
    wanted = model(service)
    if wanted is None:
        return Selection({})
    candidates = [
        *(_Candidate(r, RuntimeScope.NAMESPACE) for r in runtimes),
        *(_Candidate(r, RuntimeScope.CLUSTER) for r in cluster_runtimes),
    ]
    request = _make_request(service, wanted)
    if wanted.get("runtime"):
        return _select_named(str(wanted["runtime"]), request, candidates)
    return _select_automatically(request, candidates)


def _make_request(service: Mapping[str, Any], wanted: Mapping[str, Any]) -> _Request:
    asked = wanted.get("modelFormat") or {}
    return _Request(
        format=str(asked.get("name") or ""),
        version=str(asked.get("version") or ""),
        protocol=str(wanted.get("protocolVersion") or ""),
        multi_node=predictor(service).get("workerSpec") is not None,
        namespace=service_key(service).namespace,
    )


def _select_named(name: str, request: _Request, candidates: Sequence[_Candidate]) -> Selection:
    """A named runtime needs neither autoSelect nor the fitting worker spec."""
    found = next((c for c in candidates if c.name == name), None)
    if found is None:
        return Selection({}, blocked=_not_recognized(name, request, candidates))
    checks = (
        _check_enabled(found),
        _check_protocol(found, request.protocol) if request.protocol else None,
        _check_format(found, request, automatic=False),
    )
    rejection = next((check for check in checks if check), None)
    if rejection is None:
        return Selection(found.runtime, found.scope)
    return Selection({}, rejected=(rejection,), blocked=_named_blocked(rejection))


def _select_automatically(request: _Request, candidates: Sequence[_Candidate]) -> Selection:
    request = replace(request, protocol=request.protocol or "v1")
    fitting: list[_Candidate] = []
    rejected: list[Rejection] = []
    for candidate in candidates:
        rejection = _first_rejection(candidate, request)
        if rejection:
            rejected.append(rejection)
        else:
            fitting.append(candidate)
    fitting = _in_order(fitting, request.format)
    if not fitting:
        blocked = _none_found(request, candidates, rejected)
        return Selection({}, rejected=_sorted(rejected), blocked=blocked)
    chosen = fitting[0]
    rejected.extend(_outranked(other, chosen) for other in fitting[1:])
    return Selection(chosen.runtime, chosen.scope, _sorted(rejected))


# The checks, in order; the first that rejects is the reason.


def _first_rejection(candidate: _Candidate, request: _Request) -> Rejection | None:
    return (
        _check_enabled(candidate)
        or _check_single_model(candidate)
        or _check_format(candidate, request, automatic=True)
        or _check_protocol(candidate, request.protocol)
        or _check_nodes(candidate, request)
    )


def _check_enabled(candidate: _Candidate) -> Rejection | None:
    if not candidate.spec.get("disabled"):
        return None
    return _reject(candidate, "Disabled", "it is disabled")


def _check_single_model(candidate: _Candidate) -> Rejection | None:
    if not candidate.spec.get("multiModel"):
        return None
    return _reject(candidate, "MultiModel", "it holds many models in one process (multiModel)")


def _check_format(c: _Candidate, request: _Request, *, automatic: bool) -> Rejection | None:
    entries = [f for f in c.formats if request.label in _offers(f)]
    if not entries:
        return _reject(c, "FormatNotSupported", f"it supports {_listed(_labels(c.formats))}")
    if automatic and not any(f.get("autoSelect") for f in entries):
        return _reject(
            c, "NotAutoSelected", f'it serves "{request.label}" only when named (no autoSelect)'
        )
    return None


def _check_protocol(c: _Candidate, protocol: str) -> Rejection | None:
    if not c.protocols or protocol in c.protocols:
        return None
    return _reject(c, "ProtocolNotSupported", f'it speaks {_listed(c.protocols)}, not "{protocol}"')


def _check_nodes(c: _Candidate, request: _Request) -> Rejection | None:
    has_workers = c.spec.get("workerSpec") is not None
    if has_workers == request.multi_node:
        return None
    text = "it is for several nodes" if has_workers else "it has no workerSpec for several nodes"
    return _reject(c, "NodesNotSupported", text)


def _reject(candidate: _Candidate, reason: str, message: str) -> Rejection:
    return Rejection(candidate.name, candidate.scope, reason, message)


def _outranked(other: _Candidate, chosen: _Candidate) -> Rejection:
    message = f'it fits, and "{chosen.name}" comes first (scope, priority, protocol, age, name)'
    return _reject(other, "Outranked", message)


# The order among those that fit.


def _in_order(fitting: Iterable[_Candidate], name: str) -> list[_Candidate]:
    """Namespace before cluster; then priority, lowest protocol, newest, name."""

    def rank(c: _Candidate) -> tuple[bool, bool, int, int, float, str]:
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


# What is said when there is none.


def _not_recognized(name: str, request: _Request, candidates: Sequence[_Candidate]) -> Blocked:
    names = sorted({c.name for c in candidates})
    return Blocked(
        NOT_RECOGNIZED,
        f'Waiting for runtime to become available: no runtime "{name}" in namespace '
        f'"{request.namespace}" or the cluster; installed runtimes: {_listed(names)}'
        + _suggestion(name, names),
    )


def _named_blocked(rejection: Rejection) -> Blocked:
    reason, text, mend = {
        "Disabled": (
            DISABLED,
            "Specified runtime is disabled",
            "set its spec.disabled to false, or name another in spec.predictor.model.runtime",
        ),
        "ProtocolNotSupported": (
            NO_SUPPORTING_RUNTIME,
            "Specified runtime does not support specified protocol version",
            "change spec.predictor.model.protocolVersion",
        ),
        "FormatNotSupported": (
            NO_SUPPORTING_RUNTIME,
            "Specified runtime does not support specified framework/version",
            "change spec.predictor.model.modelFormat or spec.predictor.model.runtime",
        ),
    }[rejection.reason]
    return Blocked(reason, f'{text}: runtime "{rejection.runtime}": {rejection.message}; {mend}')


def _none_found(
    request: _Request, candidates: Sequence[_Candidate], rejected: Sequence[Rejection]
) -> Blocked:
    text = (
        "No runtime found to support specified framework/version: no runtime supports "
        f'"{request.label}" with protocol "{request.protocol}" in namespace "{request.namespace}"; '
    )
    names = sorted({str(f.get("name")) for c in candidates for f in c.formats})
    if request.format not in names:
        suggestion = _suggestion(request.format, names)
        return Blocked(
            NO_SUPPORTING_RUNTIME, f"{text}installed formats: {_listed(names)}{suggestion}"
        )
    near = [r for r in _sorted(rejected) if _offers_format(r, request.format, candidates)]
    reasons = "; ".join(f'"{r.runtime}": {r.message}' for r in near)
    return Blocked(NO_SUPPORTING_RUNTIME, f"{text}{reasons}; installed formats: {_listed(names)}")


def _offers_format(rejection: Rejection, name: str, candidates: Sequence[_Candidate]) -> bool:
    return any(
        c.name == rejection.runtime
        and c.scope is rejection.scope
        and any(f.get("name") == name for f in c.formats)
        for c in candidates
    )


def _sorted(rejected: Iterable[Rejection]) -> tuple[Rejection, ...]:
    return tuple(sorted(rejected, key=lambda r: (r.scope is RuntimeScope.CLUSTER, r.runtime)))


def _offers(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What a request may say to mean this entry: `name`, and `name:version` (plain equality)."""
    name, version = str(entry.get("name")), entry.get("version")
    return (name, f"{name}:{version}") if version else (name,)


def _labels(formats: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({_offers(f)[-1] for f in formats})


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words) or "none"


def _suggestion(word: str, words: Sequence[str]) -> str:
    near = get_close_matches(word, words, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""

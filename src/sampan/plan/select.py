"""Which runtime serves a model, and why each other one does not.

The order and the texts are KServe's (runtime selection): a named runtime is looked up in the
namespace, then in the cluster; otherwise the candidates are filtered, sorted, and the first wins.
After KServe's text follows what was asked for and what would mend it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sampan.machinery.suggest import did_you_mean
from sampan.plan.candidates import (
    Candidate,
    Rejection,
    Request,
    check_enabled,
    check_format,
    check_protocol_asked,
    check_sort,
    first_rejection,
    in_order,
    listed,
    outranked,
)
from sampan.plan.service import model, predictor, service_key
from sampan.plan.types import Blocked, RuntimeScope

NOT_RECOGNIZED = "RuntimeNotRecognized"
DISABLED = "RuntimeDisabled"
NO_SUPPORTING_RUNTIME = "NoSupportingRuntime"


_NOT_FOR_MANY = (
    NO_SUPPORTING_RUNTIME,
    "Specified runtime does not serve many models",
    "name one that has multiModel and grpcEndpoint, or apply the service in Standard mode",
)


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


def select_runtime(
    service: Mapping[str, Any],
    runtimes: Iterable[Mapping[str, Any]],
    cluster_runtimes: Iterable[Mapping[str, Any]],
    *,
    multi_model: bool = False,
) -> Selection:
    """Return the runtime for `spec.predictor.model`; `blocked` says why there is none.

    `multi_model`: one that holds many models, as ModelMesh asks. The order in which the runtimes
    are given plays no part.
    """
    wanted = model(service)
    if wanted is None:
        return Selection({})
    candidates = [
        *(Candidate(r, RuntimeScope.NAMESPACE) for r in runtimes),
        *(Candidate(r, RuntimeScope.CLUSTER) for r in cluster_runtimes),
    ]
    request = replace(_make_request(service, wanted), multi_model=multi_model)
    if wanted.get("runtime"):
        return _select_named(str(wanted["runtime"]), request, candidates)
    return _select_automatically(request, candidates)


def _make_request(service: Mapping[str, Any], wanted: Mapping[str, Any]) -> Request:
    asked = wanted.get("modelFormat") or {}
    return Request(
        format=str(asked.get("name") or ""),
        version=str(asked.get("version") or ""),
        protocol=str(wanted.get("protocolVersion") or ""),
        multi_node=predictor(service).get("workerSpec") is not None,
        namespace=service_key(service).namespace,
    )


def _select_named(name: str, request: Request, candidates: Sequence[Candidate]) -> Selection:
    """A named runtime needs neither autoSelect nor the fitting worker spec."""
    found = next((c for c in candidates if c.name == name), None)
    if found is None:
        return Selection({}, blocked=_not_recognized(name, request, candidates))
    checks = (
        check_enabled(found),
        check_protocol_asked(found, request) if request.protocol else None,
        check_format(found, request, automatic=False),
        check_sort(found, request) if request.multi_model else None,
    )
    rejection = next((check for check in checks if check), None)
    if rejection is None:
        return Selection(found.runtime, found.scope)
    return Selection({}, rejected=(rejection,), blocked=_named_blocked(rejection))


def _select_automatically(request: Request, candidates: Sequence[Candidate]) -> Selection:
    if not request.multi_model:
        request = replace(request, protocol=request.protocol or "v1")
    fitting: list[Candidate] = []
    rejected: list[Rejection] = []
    for candidate in candidates:
        rejection = first_rejection(candidate, request)
        if rejection:
            rejected.append(rejection)
        else:
            fitting.append(candidate)
    fitting = in_order(fitting, request.format)
    if not fitting:
        blocked = _none_found(request, candidates, rejected)
        return Selection({}, rejected=_sorted(rejected), blocked=blocked)
    chosen = fitting[0]
    rejected.extend(outranked(other, chosen) for other in fitting[1:])
    return Selection(chosen.runtime, chosen.scope, _sorted(rejected))


# What is said when there is none.


def _not_recognized(name: str, request: Request, candidates: Sequence[Candidate]) -> Blocked:
    names = sorted({c.name for c in candidates})
    return Blocked(
        NOT_RECOGNIZED,
        f'Waiting for runtime to become available: no runtime "{name}" in namespace '
        f'"{request.namespace}" or the cluster; installed runtimes: {listed(names)}'
        + did_you_mean(name, names),
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
        "SingleModel": _NOT_FOR_MANY,
        "NoEndpoint": _NOT_FOR_MANY,
    }[rejection.reason]
    return Blocked(reason, f'{text}: runtime "{rejection.runtime}": {rejection.message}; {mend}')


def _none_found(
    request: Request, candidates: Sequence[Candidate], rejected: Sequence[Rejection]
) -> Blocked:
    spoken = f' with protocol "{request.protocol}"' if request.protocol else ""
    sort = "multi-model runtime" if request.multi_model else "runtime"
    text = (
        f"No runtime found to support specified framework/version: no {sort} supports "
        f'"{request.label}"{spoken} in namespace "{request.namespace}"; '
    )
    names = sorted({str(f.get("name")) for c in candidates for f in c.formats})
    if request.format not in names:
        suggestion = did_you_mean(request.format, names)
        return Blocked(
            NO_SUPPORTING_RUNTIME, f"{text}installed formats: {listed(names)}{suggestion}"
        )
    near = [r for r in _sorted(rejected) if _offers_format(r, request.format, candidates)]
    reasons = "; ".join(f'"{r.runtime}": {r.message}' for r in near)
    return Blocked(NO_SUPPORTING_RUNTIME, f"{text}{reasons}; installed formats: {listed(names)}")


def _offers_format(rejection: Rejection, name: str, candidates: Sequence[Candidate]) -> bool:
    return any(
        c.name == rejection.runtime
        and c.scope is rejection.scope
        and any(f.get("name") == name for f in c.formats)
        for c in candidates
    )


def _sorted(rejected: Iterable[Rejection]) -> tuple[Rejection, ...]:
    return tuple(sorted(rejected, key=lambda r: (r.scope is RuntimeScope.CLUSTER, r.runtime)))

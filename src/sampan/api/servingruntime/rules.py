"""The rules that ServingRuntime and ClusterServingRuntime share, in upstream's order.

They keep the selection of a runtime unambiguous: no two runtimes of one scope may claim the same
model format with the same rank (KServe, `servingruntime_webhook.go`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sampan.api.admission import Mistake, judged, together, unreadable
from sampan.api.config import parse_cached
from sampan.api.gpu import gpu_types, unknown_resource
from sampan.api.inferenceservice.implementation import MAIN_CONTAINER, env_value
from sampan.api.inferenceservice.rules_pod import (
    BLOCKED_VARIABLES,
    PARALLEL_VARIABLES,
    blocked_variable_text,
)
from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.violations import violations
from sampan.machinery.errors import FieldError
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject

WORKER_CONTAINER = "worker-container"


@dataclass(frozen=True, slots=True)
class RuntimeReview:
    """A runtime under review, the one that it replaces, and its neighbours in the same scope."""

    kind: str
    runtime: JsonObject
    old: JsonObject | None
    neighbours: tuple[JsonObject, ...]
    custom_gpu_types: tuple[str, ...]

    @property
    def name(self) -> str:
        """The runtime's name."""
        return str(self.runtime["metadata"].get("name", ""))

    @property
    def spec(self) -> JsonObject:
        """The runtime's spec."""
        found: JsonObject = self.runtime["spec"]
        return found

    def invalid(self, path: str, text: str) -> Mistake:
        """Return a mistake in the form that names the runtime."""
        return Mistake(path, f"the {self.kind} {self.name} is invalid: {text}")


def admit_runtime(
    kind: str, obj: JsonObject, old: JsonObject | None, context: AdmissionContext
) -> Admitted:
    """Check a runtime of either kind; a disabled one is checked against its schema only."""
    schema = schema_of(kind)
    shaped = completed_object(schema, obj)
    broken = violations(schema, shaped)
    if "spec" not in shaped:
        broken.append(FieldError("spec", "Required value", "FieldValueRequired"))
    if unreadable(broken) or shaped["spec"].get("disabled"):
        return Admitted(shaped, errors=tuple(broken))
    config = parse_cached(context.configuration).config
    review = RuntimeReview(kind, shaped, old, context.neighbours, config.custom_gpu_resource_types)
    mistakes = [mistake for rule in RULES for mistake in rule(review)]
    if broken:
        return Admitted(shaped, errors=together(broken, mistakes))
    return judged(shaped, mistakes)


def ranks_a_format_once(review: RuntimeReview) -> Iterator[Mistake]:
    """Entries of one format that may be selected have one priority."""
    ranks: dict[str, int | None] = {}
    for index, entry in enumerate(_selectable(review.spec)):
        name, priority = entry["name"], entry.get("priority")
        known = ranks.setdefault(name, priority)
        if None not in (known, priority) and known != priority:
            yield Mistake(
                f"spec.supportedModelFormats[{index}].priority",
                f"different priorities assigned for the model format {name} under the "
                f"{review.kind.lower()} {review.name}",
            )


def shares_no_rank(review: RuntimeReview) -> Iterator[Mistake]:
    """No neighbour has the same priority for a format and a protocol of this runtime."""
    for neighbour in review.neighbours:
        other = neighbour.get("spec") or {}
        if neighbour["metadata"]["name"] == review.name or not _competes(review.spec, other):
            continue
        for entry in _selectable(review.spec):
            if any(_same_rank(entry, theirs) for theirs in _selectable(other)):
                yield _shared_rank(review, neighbour, entry["name"])


def _selectable(spec: JsonObject) -> list[JsonObject]:
    return [e for e in spec.get("supportedModelFormats") or [] if e.get("autoSelect")]


def _competes(ours: JsonObject, theirs: JsonObject) -> bool:
    protocols = set(ours.get("protocolVersions") or []) & set(theirs.get("protocolVersions") or [])
    same_sort = bool(ours.get("multiModel")) == bool(theirs.get("multiModel"))
    return bool(protocols) and same_sort and not theirs.get("disabled")


def _same_rank(ours: JsonObject, theirs: JsonObject) -> bool:
    return (
        ours["name"].lower() == theirs["name"].lower()
        and ours.get("version") == theirs.get("version")
        and ours.get("priority") is not None
        and ours.get("priority") == theirs.get("priority")
    )


def _shared_rank(review: RuntimeReview, neighbour: JsonObject, format_name: str) -> Mistake:
    text = (
        f"same priority assigned for the model format {format_name} in the "
        f"{review.kind.lower()}s {neighbour['metadata']['name']} and {review.name}"
    )
    if review.kind == "ServingRuntime":
        text += f" in namespace {review.runtime['metadata'].get('namespace', '')}"
    return Mistake("spec.supportedModelFormats", text)


def keeps_its_workers(review: RuntimeReview) -> Iterator[Mistake]:
    """A runtime that spans several nodes goes on doing so."""
    before = ((review.old or {}).get("spec") or {}).get("workerSpec")
    if before is not None and "workerSpec" not in review.spec:
        text = "removing workerSpec where it already exists is not allowed"
        yield review.invalid("spec.workerSpec", text)


def spreads_over_nodes_rightly(review: RuntimeReview) -> Iterator[Mistake]:
    """What `workerSpec` demands of the runtime's containers."""
    worker = review.spec.get("workerSpec")
    if worker is None:
        return
    workers = worker["containers"]
    if len(workers) > 1:
        text = "setting multiple containers in workerSpec is not allowed"
        yield review.invalid("spec.workerSpec.containers", text)
    for index, container in enumerate(review.spec["containers"]):
        if container["name"] == MAIN_CONTAINER:
            yield from _main_container(review, f"spec.containers[{index}]", container)
    if workers and workers[0]["name"] == WORKER_CONTAINER:
        yield from _known_gpus(review, "spec.workerSpec.containers[0]", workers[0])
    for field, label in (
        ("pipelineParallelSize", "PipelineParallelSize"),
        ("tensorParallelSize", "TensorParallelSize"),
    ):
        size = worker.get(field, 1)
        if size < 1:
            text = f"the WorkerSpec.{label} cannot be less than 1({size})"
            yield review.invalid(f"spec.workerSpec.{field}", text)


def _main_container(review: RuntimeReview, path: str, container: JsonObject) -> Iterator[Mistake]:
    for variable in PARALLEL_VARIABLES:
        if env_value(container, variable) is not None:
            text = f"setting {variable} in environment variables is not allowed"
            yield review.invalid(f"{path}.env", text)
    yield from _known_gpus(review, path, container)


def _known_gpus(review: RuntimeReview, path: str, container: JsonObject) -> Iterator[Mistake]:
    try:
        types = gpu_types(review.spec.get("annotations", {}), review.custom_gpu_types)
    except ValueError as broken:
        yield review.invalid("spec.annotations", str(broken))
        return
    if unknown_resource(container, types):
        text = f"unknown GPU resource type in a container({container['name']})"
        yield review.invalid(f"{path}.resources", text)


def sets_no_blocked_variable(review: RuntimeReview) -> Iterator[Mistake]:
    """No container may set a variable that changes which code runs."""
    worker = review.spec.get("workerSpec") or {}
    for path, containers in (
        ("spec.containers", review.spec["containers"]),
        ("spec.workerSpec.containers", worker.get("containers") or []),
    ):
        for index, container in enumerate(containers):
            for variable in container.get("env") or []:
                if variable["name"] in BLOCKED_VARIABLES:
                    text = blocked_variable_text(variable["name"], container["name"])
                    yield review.invalid(f"{path}[{index}].env", text)


RULES = (
    ranks_a_format_once,
    shares_no_rank,
    keeps_its_workers,  # update
    spreads_over_nodes_rightly,  # workerSpec
    sets_no_blocked_variable,  # PYTHONPATH
)
"""Everything that is checked, in the order in which upstream looks."""

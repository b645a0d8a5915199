"""What a service says of concurrency and batches becomes arguments, or a warning."""

from __future__ import annotations

from sampan.plan.pod_metadata import BATCHER, BATCHER_LATENCY, BATCHER_SIZE
from sampan.plan.types import Component, Workload
from sampan.platforms.local.capacity import (
    capacity_warnings,
    make_capacity,
    make_capacity_arguments,
)
from sampan.platforms.local.images import LocalCommand
from sampan.runtimes import get_runtime

OURS = LocalCommand("x", ("x",), capacity_arguments=get_runtime("sklearn").capacity_arguments)
OTHER = LocalCommand("y", ("y",))


def workload(concurrency: int | None = None, **annotations: str) -> Workload:
    return Workload(
        component=Component.PREDICTOR,
        name="a-predictor",
        template={"metadata": {"annotations": annotations}, "spec": {"containers": [{}]}},
        template_hash="v1-x",
        replicas=1,
        model_name="a",
        container_concurrency=concurrency,
    )


def test_what_is_set_becomes_an_argument_and_nothing_else():
    assert make_capacity_arguments(OURS, make_capacity(workload())) == []
    assert make_capacity_arguments(OURS, make_capacity(workload(3))) == [
        "--container_concurrency=3"
    ]
    told = workload(None, **{BATCHER: "true", BATCHER_SIZE: "8", BATCHER_LATENCY: "50"})
    assert make_capacity_arguments(OURS, make_capacity(told)) == [
        "--enable_batcher=true", "--max_batch_size=8", "--max_latency=50",
    ]  # fmt: skip


def test_no_limit_is_no_argument():
    assert make_capacity(workload(0)) == {}


def test_a_server_that_cannot_be_told_is_named_in_a_warning():
    told = workload(3, **{BATCHER: "true"})
    assert list(capacity_warnings(told, OURS, "spec.predictor")) == []
    for command in (OTHER, None):
        paths = [path for path, _ in capacity_warnings(told, command, "spec.predictor")]
        assert paths == ["spec.predictor.containerConcurrency", "spec.predictor.batcher"]

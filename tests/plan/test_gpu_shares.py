"""How many nodes a model needs, and how many GPUs each has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.plan.gpu_shares import GpuShares, count_gpus, make_gpu_shares
from sampan.plan.types import Blocked

# pipeline, tensor, GPUs that the head and a worker ask for -> nodes, head, worker
SPREAD = {
    "nobody asks: a GPU a node": ((2, 1, 0, 0), (2, 1, 1)),
    "nobody asks for many": ((2, 4, 0, 0), (8, 1, 1)),
    "workers ask: the head has what is left": ((2, 4, 0, 4), (2, 4, 4)),
    "what is left may be less": ((3, 3, 0, 4), (3, 1, 4)),
    "one node is enough": ((1, 2, 0, 2), (1, 2, 0)),
    "a worker asks for more than is needed": ((1, 2, 0, 8), (1, 2, 0)),
    "the head asks: workers have one each": ((2, 4, 2, 0), (7, 2, 1)),
    "the head has them all": ((2, 2, 4, 0), (1, 4, 0)),
    "both ask": ((2, 4, 4, 4), (2, 4, 4)),
}


@pytest.mark.parametrize("case", SPREAD.values(), ids=SPREAD.keys())
def test_with_ray_the_gpus_are_spread_over_the_nodes(case):
    asked, (nodes, head, worker) = case
    expected = GpuShares(asked[0], asked[1], nodes, head, worker)
    assert make_gpu_shares(*asked, by_processes=False) == expected


def test_with_mp_each_node_has_the_tensor_parallel_size():
    assert make_gpu_shares(2, 4, 0, 1, by_processes=True) == GpuShares(2, 4, 2, 4, 4)


def test_too_few_gpus_are_refused_with_the_numbers():
    blocked = make_gpu_shares(2, 4, 1, 4, by_processes=False)
    assert isinstance(blocked, Blocked)
    assert blocked.reason == "InvalidGPUAllocation"
    assert "needs 8 GPUs" in blocked.message
    assert "are 5; give" in blocked.message


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 16), st.integers(0, 16), st.booleans())
def test_there_are_enough_gpus_or_it_is_refused(pipeline, tensor, head, worker, by_processes):
    found = make_gpu_shares(pipeline, tensor, head, worker, by_processes=by_processes)
    if isinstance(found, GpuShares):
        assert found.head + found.worker * (found.nodes - 1) >= pipeline * tensor
        assert found.nodes >= 1


COUNTED = {
    "none": ({}, ("nvidia.com/gpu", 0)),
    "limits": ({"limits": {"cpu": "4", "amd.com/gpu": "2"}}, ("amd.com/gpu", 2)),
    "requests": ({"requests": {"nvidia.com/gpu": 1}}, ("nvidia.com/gpu", 1)),
    "a slice": ({"limits": {"nvidia.com/mig-1g.5gb": "3"}}, ("nvidia.com/mig-1g.5gb", 3)),
}


@pytest.mark.parametrize("case", COUNTED.values(), ids=COUNTED.keys())
def test_gpus_are_counted_in(case):
    resources, expected = case
    types = frozenset({"nvidia.com/gpu", "amd.com/gpu"})
    assert count_gpus({"resources": resources}, types) == expected

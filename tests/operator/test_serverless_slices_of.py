"""Slices of one Service among thousands: those that select it, and no others."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sampan.machinery.clock import SystemClock
from sampan.operator.serverless import ServerlessCluster
from sampan.platforms.kubernetes.serverless_table import SERVICE_NAME

NAMES = st.sampled_from(["a", "b", "sampan-activator"])
PLACES = st.lists(st.tuples(st.sampled_from(["kserve", "ml"]), NAMES), max_size=20)


class Remote:
    """The API server's answer to a write."""

    def __init__(self) -> None:
        self._versions = itertools.count(1)

    async def apply(self, _resource: str, obj: dict[str, Any], _manager: str) -> dict[str, Any]:
        metadata = {**obj["metadata"], "resourceVersion": str(next(self._versions))}
        return {**obj, "metadata": metadata}


def make_slice(number: int, namespace: str, service: str) -> dict[str, Any]:
    labels = {SERVICE_NAME: service}
    return {"metadata": {"name": f"slice-{number}", "namespace": namespace, "labels": labels}}


@given(PLACES)
def test_slices_of_a_service_are_those_with_its_name_in_its_namespace(places):
    cluster = ServerlessCluster(Remote(), SystemClock(), lambda: None)  # type: ignore[arg-type]

    async def write() -> None:
        for number, (namespace, service) in enumerate(places):
            await cluster.write_slice(make_slice(number, namespace, service))

    asyncio.run(write())
    wanted = [one for one in cluster.slices() if is_of(one, "kserve", "sampan-activator")]
    assert cluster.slices_of("kserve", "sampan-activator") == wanted
    assert len(cluster.slices()) == len(places)


def is_of(one: dict[str, Any], namespace: str, service: str) -> bool:
    metadata = one["metadata"]
    return (metadata["namespace"], metadata["labels"][SERVICE_NAME]) == (namespace, service)

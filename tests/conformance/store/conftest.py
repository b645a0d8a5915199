"""Every implementation of the store, on the same registry and a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sampan.machinery.registry import JsonObject, Registry, Resource
from sampan.machinery.store import Store, StoreLimits
from sampan.machinery.store_memory import MemoryStore
from sampan.machinery.store_sqlite import SqliteStore

REGISTRY = Registry(
    (
        Resource("", "v1", "ConfigMap", "configmaps", generation=False),
        Resource("", "v1", "Event", "events", generation=False),
        Resource("", "v1", "Namespace", "namespaces", namespaced=False),
        Resource("boats.dev", "v1", "Sampan", "sampans", status_subresource=True),
    )
)

MakeStore = Callable[[StoreLimits], Store]


class Standing:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock() -> Standing:
    return Standing()


@pytest.fixture
def registry() -> Registry:
    return REGISTRY


@pytest.fixture(params=["memory", "sqlite"])
async def make_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Standing
) -> AsyncIterator[MakeStore]:
    stores: list[Store] = []

    def make(limits: StoreLimits) -> Store:
        if request.param == "memory":
            stores.append(MemoryStore(REGISTRY, clock, limits))
        else:
            path = tmp_path / f"{len(stores)}" / "state.db"
            stores.append(SqliteStore(path, REGISTRY, clock, limits))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store(StoreLimits())


@pytest.fixture
def boat() -> JsonObject:
    """An object of a kind with generation and a status subresource."""
    return {
        "apiVersion": "boats.dev/v1",
        "kind": "Sampan",
        "metadata": {"name": "mei", "namespace": "canton", "labels": {"wood": "teak"}},
        "spec": {"oars": 2},
    }

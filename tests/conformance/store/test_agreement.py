"""Whatever is done to it, the store in a file answers as the one in memory, also after restarts."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sampan.machinery.errors import ApiError
from sampan.machinery.registry import JsonObject, Registry
from sampan.machinery.store import Key, ListOptions, Preconditions, Store, StoreLimits, WatchOptions
from sampan.machinery.store_memory import MemoryStore
from sampan.machinery.store_sqlite import SqliteStore

BOATS = "sampans.boats.dev"
LIMITS = StoreLimits(events=15)

names = st.sampled_from(["mei", "lin", "hua"])
labels = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"]))
finalizers = st.lists(st.sampled_from(["x", "y"]), unique=True)
versions = st.sampled_from(["none", "current", "stale"])
selectors = st.sampled_from(["", "a=1", "a!=1", "b in (1,2)", "!a"])


class Standing:
    def now(self) -> float:
        return 1_700_000_000.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def plain(value: Any) -> Any:
    """The value without what is random: uids."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k != "uid"}
    return [plain(v) for v in value] if isinstance(value, list) else value


def machine(registry: Registry) -> type[RuleBasedStateMachine]:
    class Agreement(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.loop = asyncio.new_event_loop()
            self.folder = tempfile.TemporaryDirectory()
            self.memory: Store = MemoryStore(registry, Standing(), LIMITS)
            self.file = self.open()
            self.seen: dict[str, JsonObject] = {}

        def open(self) -> Store:
            path = Path(self.folder.name) / "s" / "store.db"
            return SqliteStore(path, registry, Standing(), LIMITS)

        def both(self, act: Callable[[Store], Awaitable[Any]]) -> Any:
            async def answer(store: Store) -> Any:
                try:
                    return await act(store)
                except ApiError as error:
                    return type(error).__name__, error.code, error.message

            first, second = (
                self.loop.run_until_complete(answer(s)) for s in (self.memory, self.file)
            )
            assert plain(first) == plain(second)
            return first

        def made(self, name: str, version: str, **parts: Any) -> JsonObject:
            metadata: JsonObject = {"name": name, "namespace": "canton"}
            metadata |= {k: parts.pop(k) for k in ("labels", "finalizers") if k in parts}
            if version != "none":
                known = self.seen.get(name, {"metadata": {"resourceVersion": "1"}})
                number = int(known["metadata"]["resourceVersion"])
                metadata["resourceVersion"] = str(number - (version == "stale"))
            return {"metadata": metadata, **parts}

        def note(self, answer: Any) -> None:
            if isinstance(answer, dict):
                self.seen[answer["metadata"]["name"]] = answer

        @rule(name=names, labels=labels, finalizers=finalizers, oars=st.integers(0, 3))
        def create(self, name: str, labels: Any, finalizers: Any, oars: int) -> None:
            obj = self.made(name, "none", labels=labels, finalizers=finalizers, spec={"oars": oars})
            self.note(self.both(lambda s: s.create(BOATS, obj)))

        @rule(name=names, labels=labels, left=finalizers, oars=st.integers(0, 3), version=versions)
        def update(self, name: str, labels: Any, left: Any, oars: int, version: str) -> None:
            obj = self.made(name, version, labels=labels, finalizers=left, spec={"oars": oars})
            self.note(self.both(lambda s: s.update(BOATS, obj)))

        @rule(name=names, afloat=st.booleans(), version=versions)
        def update_status(self, name: str, afloat: bool, version: str) -> None:
            obj = self.made(name, version, status={"afloat": afloat})
            self.note(self.both(lambda s: s.update_status(BOATS, obj)))

        @rule(name=names, stale=st.booleans(), dry_run=st.booleans())
        def delete(self, name: str, stale: bool, dry_run: bool) -> None:
            given = Preconditions(resource_version="1" if stale else None)
            key = Key(BOATS, "canton", name)
            self.both(lambda s: s.delete(key, given, dry_run=dry_run))

        @rule(selector=selectors, limit=st.integers(0, 2))
        def list(self, selector: str, limit: int) -> None:
            async def pages(store: Store) -> Any:
                found, token = [], ""
                while True:
                    options = ListOptions(limit, token, selector)
                    page = await store.list(BOATS, options=options)
                    found.append([page.items, page.resource_version, page.remaining])
                    token = page.continue_token
                    if not token:
                        return found

            self.both(pages)

        @rule(back=st.integers(0, 25), selector=selectors)
        def watch(self, back: int, selector: str) -> None:
            async def events(store: Store) -> Any:
                newest = int((await store.list(BOATS)).resource_version)
                since = str(max(newest - back, 1))
                options = WatchOptions(since, selector, bookmarks=True, bookmark_seconds=0)
                found: Any = []
                async for event in store.watch(BOATS, options=options):
                    found.append([str(event.type), event.object])
                    if event.type == "BOOKMARK":
                        break
                return found

            self.both(events)

        @rule()
        def restart(self) -> None:
            self.loop.run_until_complete(self.file.close())
            self.file = self.open()

        @invariant()
        def same_contents(self) -> None:
            async def everything(store: Store) -> Any:
                page = await store.list(BOATS)
                return [page.items, page.resource_version]

            self.both(everything)

        def teardown(self) -> None:
            self.loop.run_until_complete(self.memory.close())
            self.loop.run_until_complete(self.file.close())
            self.loop.close()
            self.folder.cleanup()

    return Agreement


def run(registry: Registry, examples: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    limits = settings(
        max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=checks
    )
    run_state_machine_as_test(machine(registry), settings=limits)


def test_both_stores_answer_the_same(registry: Registry) -> None:
    run(registry, 15)


@pytest.mark.slow
def test_both_stores_answer_the_same_at_length(registry: Registry) -> None:
    run(registry, 200)

"""Workers leave the loop to others between two keys."""

from __future__ import annotations

import asyncio

from sampan.machinery.clock import SystemClock
from sampan.machinery.store import Key
from sampan.machinery.workers import Result, WorkerOptions, Workers

KEYS = 1_000
WORKERS = 4


async def test_others_have_their_turns_while_a_thousand_objects_need_nothing() -> None:
    looked: list[Key] = []
    all_looked = asyncio.Event()

    async def look(key: Key) -> Result:  # waits for nothing, as one that finds nothing to do
        looked.append(key)
        if len(looked) == KEYS:
            all_looked.set()
        return Result()

    workers = Workers(SystemClock(), look, WorkerOptions(workers=WORKERS))
    for number in range(KEYS):
        workers.queue.add(Key("things", "default", f"thing-{number}"))
    task = asyncio.create_task(workers.run())
    turns = 0
    while not all_looked.is_set():
        await asyncio.sleep(0)
        turns += 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert turns >= KEYS // WORKERS

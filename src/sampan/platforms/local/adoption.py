"""Taking over what an earlier daemon left: decided by records, locks and zygotes, never by guess.

lock held, its process alive          adopt it
lock lost, pid, start and boot agree,
  and the environment has the mark    adopt it (a program that closed inherited files)
lock held by a grandchild only        the replica has ended: end the rest, restart
nothing alive, it had been started    it ended meanwhile: restart by the back-off
nothing alive, never started          start it now
no readable record                    end what holds the lock; nobody knows what it was for
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from sampan.plan.observed import Exit
from sampan.platforms.local import exits, identity
from sampan.platforms.local.identity import Identity
from sampan.platforms.local.records import BadRecord, Record
from sampan.platforms.local.replica import Replica
from sampan.platforms.local.replica_start import Surroundings

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 50  # of 20 ms: a child writes its name right after the fork


async def adopt(around: Surroundings) -> list[Replica]:
    """Return the replicas of the records, each supervised again."""
    owners = await around.zygotes.adopt()
    adopted = []
    for name in around.records.names():
        found = await _find(around, name)
        if found is None:
            continue
        around.ports.reserve(found.record.state.ports.values())
        replica = Replica(found.record, around)
        if found.process is not None:
            replica.resume(found.process, owners.get(found.record.uid))
        elif found.noted or found.ended is not None:
            replica.resume_ended(found.ended)
        else:
            replica.begin()
        if found.record.stop_at:
            replica.stop(max(0.0, found.record.stop_at - around.clock.now()))
        adopted.append(replica)
    return adopted


@dataclass(frozen=True, slots=True)
class Found:
    """A record and what became of its process: it lives, has ended, or (neither) never was.

    `noted`: the end is in the record already; the replica was waiting for its restart.
    """

    record: Record
    process: Identity | None = None
    ended: Exit | None = None
    noted: bool = False


async def _find(around: Surroundings, name: str) -> Found | None:
    folder = around.records.folder(name)
    held, holder, uid = await _holder(around, name)
    try:
        record = around.records.read(name)
    except BadRecord as error:
        killed = await asyncio.to_thread(identity.kill_stragglers, 0, uid or name, folder)
        _LOG.warning("%s; %d processes of it ended, and it is forgotten", error, killed)
        around.records.remove(name)
        return None
    if held and holder is not None and uid == record.uid and holder.alive():
        return Found(_started(record, holder), process=holder)
    if (known := _by_mark(record)) is not None:
        return Found(record, process=known)
    await asyncio.to_thread(identity.kill_stragglers, 0, record.uid or name, folder)
    if holder is None or uid != record.uid:
        return Found(record)
    if record.state.started_at and not record.state.running:
        return Found(record, noted=True)
    return Found(record, ended=_make_ended(around, record))


async def _holder(around: Surroundings, name: str) -> tuple[bool, Identity | None, str]:
    folder = around.records.folder(name)
    for _ in range(_ATTEMPTS):
        held, holder, uid = identity.lock_holder(folder)
        if not held or holder is not None:
            break
        await asyncio.sleep(0.02)
    return held, holder, uid


def _by_mark(record: Record) -> Identity | None:
    known = Identity(record.state.pid, record.state.start_ticks)
    if not known.pid or record.boot_id != identity.boot_id():
        return None
    alive = known.alive() and identity.carries_marker(known.pid, record.uid)
    return known if alive else None


def _started(record: Record, holder: Identity) -> Record:
    """Return the record, mended where the daemon died between the fork and writing it down."""
    if record.state.started_at:
        return record
    started = record.state.load.since or record.state.created_at
    state = replace(record.state, pid=holder.pid, started_at=started)
    return replace(record, state=state)


def _make_ended(around: Surroundings, record: Record) -> Exit:
    folder = around.records.folder(record.state.spec.replica)
    left = exits.read_exit(folder, record.uid)
    status, finished = left or (None, around.clock.now())
    spec = record.state.spec
    return exits.make_exit(
        exits.Ending(
            status=status,
            started_at=record.state.started_at or record.state.load.since,
            finished_at=finished,
            termination=exits.read_termination(folder),
            last_lines=around.logs.last_lines(spec.service, spec.replica, 20),
        )
    )

"""What a thousand services cost that nobody asks for anything."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.control_plane_rows.daemons import MANY, crowded
from bench.processes import tree_of, usage_of
from bench.row import Goal, Row, make_row
from bench.setting import Setting

SETTLE_SECONDS = 10
IDLE_SECONDS = 20


def idle(setting: Setting) -> Iterator[Row]:
    """CPU and memory of the daemon; Envoy, which asks each replica for its health, is told of."""
    with crowded(setting) as (daemon, _):
        time.sleep(SETTLE_SECONDS)
        rest = [pid for pid in tree_of(daemon.pid) if pid != daemon.pid]
        own, others = usage_of([daemon.pid]), usage_of(rest)
        time.sleep(IDLE_SECONDS)
        own_after, others_after = usage_of([daemon.pid]), usage_of(rest)
    percent = 100 * (own_after.cpu_seconds - own.cpu_seconds) / IDLE_SECONDS
    besides = 100 * (others_after.cpu_seconds - others.cpu_seconds) / IDLE_SECONDS
    told = f"{IDLE_SECONDS} s; Envoy, with two health checks a second of each, {besides:.1f} %"
    yield make_row(f"idle at {MANY}: CPU", "% of a core", [percent], [], Goal(limit=2), note=told)
    told = f"Envoy besides: {others_after.resident / 1e6:.0f} MB"
    memory = [own_after.resident / 1e6]
    yield make_row(f"idle at {MANY}: resident memory", "MB", memory, [], Goal(limit=150), note=told)

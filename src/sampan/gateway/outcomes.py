"""How requests to some clusters ended, as Envoy counts it: how many, how many failed, how slowly.

Read for the few clusters that are watched; how long answers take is counted of revisions with a
number in their names alone (`config`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import orjson

from sampan.gateway.ask import Address, ask
from sampan.gateway.config import ADMIN
from sampan.gateway.errors import GatewayError
from sampan.gateway.folder import folder_of
from sampan.gateway.grpc_counts import read_grpc_errors
from sampan.machinery.registry import JsonObject

_PREFIX = "cluster."
_GRPC = "grpc errors"
_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a cluster's requests came to since Envoy's start; `errors` are answers of 5xx, and calls
    over gRPC that ended in a status of the server's fault.

    `within` maps bounds in seconds to how many answers took at most so long, ascending.
    """

    total: int = 0
    errors: int = 0
    within: tuple[tuple[float, int], ...] = ()


def make_outcomes(answer: JsonObject) -> Mapping[str, Outcomes]:
    """Return the outcomes by cluster of Envoy's `/stats?format=json`. Pure."""
    counted: dict[str, dict[str, int]] = {}
    times: dict[str, tuple[tuple[float, int], ...]] = {}
    for stat in answer.get("stats", ()):
        for histogram in _histograms(stat):
            cluster, _, name = str(histogram["name"])[len(_PREFIX) :].rpartition(".")
            if name == "upstream_rq_time":
                times[cluster] = tuple(
                    (float(b["upper_bound"]) / 1000, int(b["cumulative"]))
                    for b in histogram["buckets"]
                )
        if "value" in stat:
            _count(counted, str(stat["name"])[len(_PREFIX) :], int(stat["value"]))
    return {
        cluster: Outcomes(
            found.get("upstream_rq_total", 0),
            _errors(cluster, found),
            times.get(cluster, ()),
        )
        for cluster, found in counted.items()
    }


def _errors(cluster: str, found: Mapping[str, int]) -> int:
    """What Envoy itself answers to a call is counted as 5xx and as a status; it is one error."""
    calls, answers = found.get(_GRPC, 0), found.get("upstream_rq_5xx", 0)
    if cluster.endswith("/grpc"):
        return calls
    return min(calls + answers, found.get("upstream_rq_total", 0))


def _count(counted: dict[str, dict[str, int]], name: str, value: int) -> None:
    calls = read_grpc_errors(name, value)
    cluster, _, kind = (calls[0], "", _GRPC) if calls else name.rpartition(".")
    told = counted.setdefault(cluster, {})
    told[kind] = told.get(kind, 0) + (calls[1] if calls else value)


def _histograms(stat: JsonObject) -> list[JsonObject]:
    found = stat.get("histograms")
    return found if isinstance(found, list) else []


class OutcomeReader:
    """Reads the counters of the Envoy whose gateway uses `state_dir`."""

    def __init__(self, state_dir: Path) -> None:
        self._address = Address(socket=folder_of(state_dir).root / ADMIN)

    async def read(self, clusters: Collection[str]) -> Mapping[str, Outcomes]:
        """Return the outcomes of these clusters, where they were ever asked; raise GatewayError."""
        names = "|".join(re.escape(name) for name in sorted(clusters))
        pattern = rf"^cluster\.({names})\.(upstream_rq_(total|5xx|time)|grpc\..*)$"
        query = f"/stats?usedonly&format=json&histogram_buckets=cumulative&filter={quote(pattern)}"
        try:
            answer = await ask(self._address, query, "admin", _SECONDS)
        except (OSError, TimeoutError) as error:
            raise GatewayError(
                "AdminUnreachable",
                f"Envoy does not tell its outcomes: {error or 'timeout'}; it is being started "
                "again, try again in a second",
            ) from error
        return make_outcomes(orjson.loads(bytes(answer.body)))

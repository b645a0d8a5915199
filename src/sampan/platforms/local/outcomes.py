"""How the requests to workloads ended, as this machine's gateway counts them.

Implements `sampan.controllers.guarding.OutcomeSource`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Protocol

from sampan.gateway.errors import GatewayError
from sampan.gateway.outcomes import Outcomes
from sampan.machinery.clock import Clock
from sampan.plan.rollback import Tally

log = logging.getLogger(__name__)

_GRPC = "/grpc"


class OutcomeReader(Protocol):
    """What is needed of a gateway (`sampan.gateway.outcomes.OutcomeReader`)."""

    async def read(self, clusters: Collection[str]) -> Mapping[str, Outcomes]:
        """Return the outcomes of these clusters, where they were ever asked; raise GatewayError."""


class LocalOutcomes:
    """The outcomes of workloads; REST and gRPC requests of one are counted together."""

    def __init__(self, reader: OutcomeReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock

    async def outcomes(self, workloads: Collection[str]) -> Mapping[str, Tally] | None:
        """Return what is counted of workloads, named `namespace/name`; None: cannot be told now."""
        clusters = [name for w in workloads for name in (w, w + _GRPC)]
        try:
            found = await self._reader.read(clusters)
        except GatewayError as error:
            log.debug("%s", error)
            return None
        now, nothing = self._clock.now(), Outcomes()
        return {
            w: make_tally(now, found.get(w, nothing), found.get(w + _GRPC, nothing))
            for w in workloads
        }


def make_tally(now: float, rest: Outcomes, grpc: Outcomes) -> Tally:
    """Return both together; their buckets have the same bounds. Pure."""
    within = dict(rest.within)
    for bound, count in grpc.within:
        within[bound] = within.get(bound, 0) + count
    return Tally(
        now, rest.total + grpc.total, rest.errors + grpc.errors, tuple(sorted(within.items()))
    )

"""What a cluster's activator is told of requests: by its own Envoy's counters, and by the others.

Implements `sampan.controllers.autoscaling.Signals`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from sampan.app.activation_peers import Peers
from sampan.autoscaler.outcome import Room
from sampan.autoscaler.queries import Asked, Readings
from sampan.autoscaler.signal import Traffic
from sampan.gateway.errors import GatewayError
from sampan.gateway.traffic import TrafficReader
from sampan.platforms.kubernetes.serverless_table import GRPC

log = logging.getLogger(__name__)


class ClusterSignals:
    """Requests decide alone; how many pods fit is the scheduler's to say."""

    def __init__(self, reader: TrafficReader, peers: Peers) -> None:
        self._reader = reader
        self._peers = peers
        self.own: Mapping[str, Traffic] = {}
        """What was last read of our own Envoy."""
        self._counted: dict[str, tuple[int, int]] = {}

    async def traffic(self) -> Mapping[str, Traffic] | None:
        """Return the requests of each workload that was ever asked, here and at the others."""
        own = await self.read_own()
        if own is None or not self._peers.complete():
            return None
        summed = self._peers.traffic(own)
        return {key: self._growing(key, traffic) for key, traffic in summed.items()}

    async def read_own(self) -> Mapping[str, Traffic] | None:
        """Return those that came here, REST and gRPC together; None: cannot be told now."""
        try:
            clusters = await self._reader.read()
        except GatewayError as error:
            log.debug("no traffic is known: %s", error.message)
            return None
        found: dict[str, Traffic] = {}
        for name, told in clusters.items():
            workload = name.removesuffix(GRPC)
            before = found.get(workload, Traffic(0, 0))
            found[workload] = Traffic(before.active + told.active, before.total + told.total)
        self.own = found
        return found

    def _growing(self, workload: str, told: Traffic) -> Traffic:
        """Go on from what an Envoy that is gone has counted, here or elsewhere."""
        last, base = self._counted.get(workload, (0, 0))
        base += last if told.total < last else 0
        self._counted[workload] = (told.total, base)
        return Traffic(told.active, base + told.total)

    async def use(self, pids: Sequence[int]) -> Mapping[str, float]:
        """Return nothing: use does not decide here."""
        del pids
        return {}

    async def readings(self, asked: Asked) -> Readings:
        """Return nothing: no metric decides here."""
        del asked
        return Readings()

    async def room(self, pids: Sequence[int]) -> Room | None:
        """Return that it is not known."""
        del pids
        return None

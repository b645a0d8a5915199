"""What this machine tells autoscalers, wired to its gateway, its replicas and its devices."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.machinery.clock import Clock
from sampan.platforms.local.counted_door import OwnRequests
from sampan.platforms.local.device_metrics import NvidiaMetrics
from sampan.platforms.local.launcher import Launcher
from sampan.platforms.local.metric_readings import MetricReadings
from sampan.platforms.local.replica_metrics import ReplicaMetrics
from sampan.platforms.local.signals import ClusterReader, LocalSignals


def make_signals(
    gateway_port: int,
    reader: ClusterReader,
    own: Mapping[str, OwnRequests],
    clock: Clock,
    launcher: Launcher,
) -> LocalSignals:
    """Return the signals; a query to the gateway's own address is about the replicas' metrics."""

    def find_port(replica: str, port: int) -> int:
        found = (s.ports.get(port, 0) for s in launcher.states() if s.spec.replica == replica)
        return next(found, 0)

    addresses = [f"{host}:{gateway_port}" for host in ("localhost", "127.0.0.1")]
    readings = MetricReadings(ReplicaMetrics(NvidiaMetrics(), find_port), clock, addresses)
    return LocalSignals(reader, own, clock, readings)

"""Loopback addresses that stand for the Services of components.

In a cluster a transformer asks its predictor by the name of a Service, `iris-predictor.default`.
Names need a resolver, and replicas change their ports, so each component of a service that has
several gets a port of the gateway, which leads to its replicas. A port is kept for as long as the
component is, over restarts of the daemon too: running processes hold it in their arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sampan.plan.types import ServiceKey
from sampan.platforms.local.ports import PortPool
from sampan.platforms.local.private_file import write_private_file

HOST = "127.0.0.1"
FIRST_PORT, LAST_PORT = 18_000, 19_999
"""Below the ports of replicas, which begin at 20000."""


def rewrite_hosts(text: str, hosts: Mapping[str, str]) -> str:
    """Return an argument or value with the names of Services replaced by addresses. Pure.

    `hosts` maps `{name}.{namespace}` to `host:port`. A Service answers at port 80, which may be
    named; at any other nobody answers, so such an address stays as it is. The longer forms with
    `.svc` and the cluster's domain count too.
    """
    for name, address in hosts.items():
        pattern = rf"(?<![\w.-]){re.escape(name)}(\.svc(\.cluster\.local)?)?(:80)?(?![\w.:-])"
        text = re.sub(pattern, address, text)
    return text


@dataclass(slots=True)
class Addresses:
    """The ports of components, by service, kept in a file."""

    path: Path
    pool: PortPool = field(default_factory=lambda: PortPool(FIRST_PORT, LAST_PORT))
    _ports: dict[str, dict[str, int]] = field(default_factory=dict)

    def load(self, serving: Collection[int]) -> None:
        """Take up the record of an earlier daemon.

        A port counts on while the gateway serves it (`serving`) or it is free; in the place of one
        that somebody else has taken meanwhile, another is chosen when it is next asked for.
        """
        try:
            recorded = json.loads(self.path.read_text())
            ports = {str(k): {str(w): int(p) for w, p in v.items()} for k, v in recorded.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            ports = {}
        self._ports = {
            service: {w: p for w, p in kept.items() if p in serving or self.pool.is_free(p)}
            for service, kept in ports.items()
        }
        self.pool.reserve(p for kept in self._ports.values() for p in kept.values())

    def assign(self, service: ServiceKey, workloads: Collection[str]) -> Mapping[str, int]:
        """Return the port of each of these workloads; those of the service's others are given up.

        Raises NoFreePort.
        """
        key = f"{service.namespace}/{service.name}"
        before = self._ports.get(key, {})
        if before.keys() == set(workloads):
            return before
        now = {w: before[w] if w in before else self.pool.take() for w in workloads}
        self.pool.release(p for w, p in before.items() if w not in now)
        self._ports = {k: v for k, v in {**self._ports, key: now}.items() if v}
        write_private_file(self.path, json.dumps(self._ports).encode())
        return now

"""What whoever installs may choose."""

from __future__ import annotations

from dataclasses import dataclass

WEBHOOK_SERVICE = "sampan-webhook"
OPERATOR = "sampan-operator"
"""The name of the Deployment, its ServiceAccount and its roles."""


@dataclass(frozen=True, slots=True)
class Options:
    """`image` is the operator's; `replicas` operators stand by, one acts. `watched`: the only
    namespaces that it looks after and has rights in; none: the whole cluster.
    """

    namespace: str = "kserve"
    image: str = "sampan/operator:latest"
    replicas: int = 2
    webhook_port: int = 9443
    health_port: int = 8081
    watched: tuple[str, ...] = ()

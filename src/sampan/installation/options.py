"""What whoever installs may choose."""

from __future__ import annotations

from dataclasses import dataclass

WEBHOOK_SERVICE = "sampan-webhook"
OPERATOR = "sampan-operator"
"""The name of the Deployment, its ServiceAccount and its roles."""


ACTIVATOR = "sampan-activator"
"""The name of its Deployment and all that is around it."""


@dataclass(frozen=True, slots=True)
class Options:
    """`image` is the operator's and the activators'. `replicas` operators stand by, one acts.
    `watched`: the only namespaces that it looks after and has rights in; none: the whole cluster.
    `activators` of them wake services that scale to zero without Knative; 0: nobody does, and no
    right is given for it. `metrics_from`: the namespaces whose pods may ask the activators' port of
    health and numbers, besides their own; none: no NetworkPolicy is made of it.
    """

    namespace: str = "kserve"
    image: str = "sampan/operator:latest"
    replicas: int = 2
    webhook_port: int = 9443
    health_port: int = 8081
    watched: tuple[str, ...] = ()
    activators: int = 0
    metrics_from: tuple[str, ...] = ()

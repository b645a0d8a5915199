"""What the activator may do in a cluster, right by right, each with its reason. Data.

It sees no pod, no Secret and no InferenceService, and changes of a Deployment nothing but its
number of replicas.
"""

from __future__ import annotations

from sampan.installation.options import ACTIVATOR
from sampan.installation.rights import READ, Right

ACTIVATOR_RIGHTS: tuple[Right, ...] = (
    Right("apps", ("deployments",), READ, "which workloads it looks after, and their terms"),
    Right("apps", ("deployments/scale",), ("patch",), "how many replicas there are"),
    Right(
        "discovery.k8s.io",
        ("endpointslices",),
        (*READ, "create", "patch", "delete"),
        "where pods answer, and that the Services of these workloads lead to it",
    ),
    Right("", ("events",), ("get", "create", "update"), "each change of a size, with its numbers"),
    Right(
        "",
        ("configmaps",),
        ("get",),
        "the defaults of autoscaling, where Knative keeps them",
        names=("config-autoscaler",),
    ),
    Right(
        "coordination.k8s.io",
        ("leases",),
        ("create",),
        "which of several activators decides",
        here=True,
    ),
    Right(
        "coordination.k8s.io",
        ("leases",),
        ("get", "update"),
        "the same, of the one Lease",
        names=(ACTIVATOR,),
        here=True,
    ),
)

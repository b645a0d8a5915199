"""The operator on a cluster that is played: what a service costs to make, to look at, and at rest.

The embedded API server plays the cluster and a model of Kubernetes's controllers its statuses
(`tests/operator/played_cluster.py`), in the process of the bench; the operator is a process of its
own, whose CPU and memory are measured. `SAMPAN_BENCH_SERVICES` sets how many services are many.
"""

from __future__ import annotations

from bench.operator_rows import creating, doors, many, mutating

benches = {
    "create": creating.create,
    "mutate": mutating.mutate,
    "many": many.crowd,
    "doors": doors.look_after,
}

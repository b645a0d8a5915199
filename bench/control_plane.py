"""The control plane with a thousand services: what one costs, a restart, watching, lists, rest.

No service has a process: at the platform's edge stands a launcher that starts nothing
(`control_plane_rows/edge.py`). Where Envoy counts it is a real one. Figures are CPU time of the
daemon where that is what is promised, so that a busy machine changes them little.
"""

from __future__ import annotations

from bench.control_plane_rows import listing, planning, resting, scaling, writing

benches = {
    "reconcile": scaling.reconcile,
    "restart": scaling.restart,
    "apply": writing.apply,
    "list": listing.lists,
    "idle": resting.idle,
    "samples": planning.samples,
}

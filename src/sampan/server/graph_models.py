"""The models of a router's own process, as its graph's steps ask them."""

from __future__ import annotations

import asyncio

from sampan.server.dataplane import DataPlane
from sampan.server.graph_agenda import Agenda
from sampan.server.graph_gathered import AsRequest, Gathered, Shared, parse_path
from sampan.server.graph_handed import HandedTarget
from sampan.server.graph_metrics import StepMetrics
from sampan.server.graph_parts import Decoded, read_v1, read_v2
from sampan.server.rest import Rest


class LocalModels:
    """Models for a graph whose steps they are. Used on its loop's thread.

    Without a `rest`, as where each call is to be traced as a request, no values are handed.
    """

    def __init__(
        self, dataplane: DataPlane, loop: asyncio.AbstractEventLoop, rest: Rest | None = None
    ) -> None:
        decoded = {False: Decoded(read_v1), True: Decoded(read_v2)}
        self._shared = Shared(dataplane, decoded, Agenda(loop))
        self._loop = loop
        self._rest = rest

    def gather(self, path: str, counts: StepMetrics, as_request: AsRequest) -> Gathered | None:
        """Return what gathers the calls of a path; None where it asks for no prediction."""
        asked = parse_path(path)
        return Gathered(self._shared, asked, counts, as_request) if asked else None

    def target(self, path: str) -> HandedTarget | None:
        """Return what hands values to a path; None where there is none to hand them to."""
        asked = parse_path(path)
        if asked is None or self._rest is None:
            return None
        return HandedTarget(self._rest, asked, path, self._loop)

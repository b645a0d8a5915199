"""A graph of models of its own process, asked in both ways: gathered and handed, or as requests."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from sampan.app.route_fused import FusedModels, load_models
from sampan.router.graph import Graph
from sampan.server.graph_calls import Caller
from sampan.server.graph_front import GraphFront
from sampan.server.graph_models import LocalModels
from sampan.wire.message import Request, Response
from sampan.wire.upstream import Upstreams

MODEL = "svm"


class Side:
    """A graph whose steps are asked in one of both ways, and its models."""

    def __init__(self, graph: Graph, models: FusedModels, *, gathers: bool) -> None:
        self.models = models
        loop = asyncio.get_running_loop()
        local = LocalModels(models.dataplane, loop, models.rest) if gathers else None
        self.caller = Caller(graph, Upstreams(loop), models.submit, local)
        self.front = GraphFront(graph, self.caller, (), lambda: 0)

    async def ask(self, *bodies: bytes) -> list[Response]:
        """Ask all at once; return the answers in order."""
        answers = [asyncio.get_running_loop().create_future() for _ in bodies]
        for body, answer in zip(bodies, answers, strict=True):
            self.front.submit(Request(b"POST", b"/", [], body), answer.set_result)
        return await asyncio.wait_for(asyncio.gather(*answers), 60)

    def counts(self) -> list[str]:
        """Return what is counted, but for times and for how requests fell into batches."""
        text = self.caller.metrics.render() + self.models.render_metrics()
        wanted = re.compile(
            r"(sampan_graph_step|kserve_inference_requests|request_.*_seconds_count)"
        )
        lines = [line for line in text.decode().splitlines() if wanted.match(line)]
        return sorted(line for line in lines if "_bucket" not in line and "_sum" not in line)


async def make_sides(graph: Graph, folder: Path) -> tuple[Side, Side]:
    """Return both: one that gathers calls and hands values, and one of requests and JSON."""
    sides = []
    for gathers in (True, False):
        models = await load_models({MODEL: str(folder)}, "sklearn")
        side = Side(graph, models, gathers=gathers)
        for _ in range(9):  # the same number on both sides: they are counted
            models.dataplane.repository.get(MODEL).pace.observe(0.0)
        sides.append(side)
    return sides[0], sides[1]

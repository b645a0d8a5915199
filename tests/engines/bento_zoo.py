"""The service that both servers serve: an API of each kind."""

SERVICE = """
from __future__ import annotations

import asyncio
import time
import typing as t
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
import pandas as pd
import pydantic
from http import HTTPStatus

from bentoml.exceptions import BentoMLException, InvalidArgument, NotFound
from bentoml.validators import DType, Shape
from mounted_app import mounted
from PIL import Image

bentoml.metrics.Counter("asked_in_vain", "a metric of the service's own").inc()


class Flower(pydantic.BaseModel):
    sepal: float
    petal: float = 1.0


class Verdict(pydantic.BaseModel):
    name: str
    score: float


@bentoml.service(name="zoo", traffic={"timeout": 3}, threads=2)
class Zoo:
    def __init__(self) -> None:
        self.stopped = False
        self.began = 0

    @bentoml.on_startup
    async def begin(self) -> None:
        self.began += 1

    @bentoml.on_shutdown
    def end(self) -> None:
        Path("ended.txt").write_text("yes")

    @bentoml.api
    def starts(self) -> int:
        return self.began

    @bentoml.api
    def add(self, a: int, b: int = 2) -> int:
        return a + b

    @bentoml.api
    def text(self, text: str) -> str:
        return text.upper()

    @bentoml.api
    def lone_text(self, text: str, /) -> str:
        return text.upper()

    @bentoml.api
    def lone_list(self, values: t.List[float], /) -> t.List[float]:
        return [v * 2 for v in values]

    @bentoml.api
    def lone_model(self, flower: Flower, /) -> t.Dict[str, float]:
        return {"sum": flower.sepal + flower.petal}

    @bentoml.api
    def sums(self, x: Annotated[np.ndarray, Shape((-1, 4)), DType("float64")]) -> np.ndarray:
        return x.sum(axis=1)

    @bentoml.api
    def frame(self, df: pd.DataFrame) -> pd.DataFrame:
        return df * 2

    @bentoml.api
    def judge(self, flower: Flower) -> Verdict:
        return Verdict(name="x", score=flower.sepal * flower.petal)

    @bentoml.api
    async def awaited(self, n: int) -> int:
        await asyncio.sleep(0.01)
        return n + 1

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=2000)
    def batched(self, x: np.ndarray) -> np.ndarray:
        return x + 1

    @bentoml.api
    def stream(self, n: int) -> t.Generator[str, None, None]:
        for i in range(n):
            yield f"{i}\\n"

    @bentoml.api
    async def events(self, n: int) -> t.AsyncGenerator[str, None]:
        for i in range(n):
            yield f"data: {i}\\n\\n"

    @bentoml.api
    def upload(self, file: Path, note: str = "") -> str:
        return note + file.read_text()

    @bentoml.api
    def give(self, text: str) -> Path:
        path = Path("given.txt")
        path.write_text(text)
        return path

    @bentoml.api
    def picture(self, side: int) -> Image.Image:
        return Image.new("RGB", (side, side))

    @bentoml.api
    def markup(self, n: int) -> Annotated[str, bentoml.validators.ContentType("text/html")]:
        return f"<b>{n}</b>"

    @bentoml.api
    def invalid(self, n: int) -> int:
        raise InvalidArgument("n is wrong")

    @bentoml.api
    def missing(self, n: int) -> int:
        raise NotFound("no such thing")

    @bentoml.api
    def forbidden(self, n: int) -> int:
        raise BentoMLException("secret", error_code=HTTPStatus.FORBIDDEN)

    @bentoml.api
    def broken(self, n: int) -> int:
        raise RuntimeError("secret")

    @bentoml.api
    def untrue(self, n: int) -> int:
        return "no number"

    @bentoml.api
    def context(self, n: int, ctx: bentoml.Context) -> int:
        ctx.response.status_code = 202
        ctx.response.headers["x-mine"] = ctx.request.headers["x-yours"]
        return n

    @bentoml.api
    def late(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    @bentoml.api
    async def late_awaited(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @bentoml.api(route="/v2/other")
    def routed(self, n: int) -> dict:
        return {"n": n}

    @bentoml.api
    def anything(self, **kwargs) -> dict:
        return kwargs

    @bentoml.task
    def job(self, n: int) -> int:
        return n


Zoo.mount_asgi_app(mounted, path="/v1")
"""
"""In `service.py`."""

MOUNTED = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

mounted = Starlette(
    routes=[Route("/models", lambda request: JSONResponse({"data": ["of the service"]}))]
)
"""
"""In `mounted_app.py`: an application like those that speak OpenAI's API."""

LONE = """
import bentoml


@bentoml.service
class Lone:
    def __init__(self) -> None:
        self.well = True

    def __is_ready__(self) -> bool:
        return self.well

    @bentoml.api
    async def doubled(self, values: list[float]) -> list[float]:
        if values == [0.0]:
            self.well = False
        return [2 * value for value in values]
"""
"""A service of one API, which judges its own health."""

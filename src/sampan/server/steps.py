"""Runs a model's steps in KServe's order and times them. Knows no transport and no thread."""

from __future__ import annotations

import inspect
from time import perf_counter
from typing import Any, NamedTuple

from sampan.server.model import Headers, InferenceVerb, Model

_PREDICT = InferenceVerb.PREDICT  # looked up so often that an Enum's way is felt
_VERBS = {InferenceVerb.PREDICT: "predict", InferenceVerb.EXPLAIN: "explain"}


_NO_HEADERS: Headers = {}  # never written to: a model that has any is given a dict of its own


class Ran:
    """What came of it. Seconds are None for a step that did not run to its end."""

    __slots__ = ("explain", "postprocess", "predict", "preprocess", "response_headers", "result")

    def __init__(
        self,
        *,
        preprocess: float | None = None,
        predict: float | None = None,
        explain: float | None = None,
        postprocess: float | None = None,
    ) -> None:
        self.preprocess = preprocess
        self.predict = predict
        self.explain = explain
        self.postprocess = postprocess
        self.result: Any = None
        self.response_headers: Headers = _NO_HEADERS

    def phases(self) -> list[tuple[str, float]]:
        """Return the steps that ran to their end, in their order, with their seconds."""
        steps = (
            ("preprocess", self.preprocess),
            ("predict", self.predict),
            ("explain", self.explain),
            ("postprocess", self.postprocess),
        )
        return [(name, seconds) for name, seconds in steps if seconds is not None]


def is_async(model: Model, verb: InferenceVerb = InferenceVerb.PREDICT) -> bool:
    """Whether any step that a verb runs is a coroutine function: then all run on the loop."""
    steps = ("preprocess", _VERBS[verb], "postprocess")
    return any(inspect.iscoroutinefunction(getattr(model, step)) for step in steps)


class OwnSteps(NamedTuple):
    """Which of the steps around its verb a model has of its own: the others are not called."""

    preprocess: bool
    postprocess: bool

    @classmethod
    def of(cls, model: Model) -> OwnSteps:
        """Return it for a model, as its class or itself has them."""
        return cls(*(_is_own(model, step) for step in cls._fields))


def _is_own(model: Model, step: str) -> bool:
    function = getattr(getattr(model, step), "__func__", None)
    return function is not getattr(Model, step)


ALL_STEPS = OwnSteps(preprocess=True, postprocess=True)


def run(  # what a run is made of
    model: Model,
    payload: Any,
    headers: Headers,
    verb: InferenceVerb,
    ran: Ran,
    own: OwnSteps = ALL_STEPS,
) -> None:
    """Run a model whose steps are all sync; fills `ran`, also up to the step that raises.

    A step that is not its `own` takes no time.
    """
    extra = _extra(model, ran) if model.return_response_headers else ()
    started = now = perf_counter()
    if own.preprocess:
        payload = model.preprocess(payload, headers)
        now = perf_counter()
    ran.preprocess = now - started
    payload = model.validate(payload)
    if verb is _PREDICT:
        result = model.predict(payload, headers, *extra)
        ran.predict = (ended := perf_counter()) - now
    else:
        result = model.explain(payload, headers)
        ran.explain = (ended := perf_counter()) - now
    if own.postprocess:
        result = model.postprocess(result, headers, *extra)
        ran.postprocess = perf_counter() - ended
    else:
        ran.postprocess = 0.0
    ran.result = result


async def run_async(
    model: Model, payload: Any, headers: Headers, verb: InferenceVerb, ran: Ran
) -> None:
    """Run a model with async steps; its sync steps run on the loop too, as the author expects."""
    extra = _extra(model, ran)
    started = perf_counter()
    payload = await _settled(model.preprocess(payload, headers))
    ran.preprocess = (now := perf_counter()) - started
    payload = await _settled(model.validate(payload))
    started = now
    if verb is InferenceVerb.PREDICT:
        result = await _settled(model.predict(payload, headers, *extra))
        ran.predict = (now := perf_counter()) - started
    else:
        result = await _settled(model.explain(payload, headers))
        ran.explain = (now := perf_counter()) - started
    ran.result = await _settled(model.postprocess(result, headers, *extra))
    ran.postprocess = perf_counter() - now


def _extra(model: Model, ran: Ran) -> tuple[Headers, ...]:
    """Return the third argument of predict and postprocess, for models that ask for it."""
    if not model.return_response_headers:
        return ()
    ran.response_headers = {}
    return (ran.response_headers,)


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value

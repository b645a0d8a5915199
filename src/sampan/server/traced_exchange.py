"""An exchange whose inference is timed phase by phase, for its trace.

Only made where traces are on: then `decode` and `encode` are wrapped, so that an exchange which is
not traced has nothing to measure and nothing to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

from sampan.server.exchange import Exchange
from sampan.server.job import Inference
from sampan.server.model import InferenceVerb
from sampan.server.steps import Ran

_SHORTEST_WAIT = 1e-4
"""Seconds. What passes unnamed between two steps is said to be the batch's from here on: below it
is the bookkeeping of a request that nobody waited for."""


class Phase(NamedTuple):
    """A part of an exchange that has a span: times by `perf_counter`; `failed` where it raised."""

    name: str
    begin: float
    end: float
    failed: bool = False


class Times(NamedTuple):
    """When an inference was asked for, decoded and encoded, and when its answer was complete."""

    asked: float
    decode: Phase | None
    encode: Phase | None
    end: float
    streamed: bool = False


class TracedExchange(Exchange):
    """An exchange that notes when its inference was asked for, decoded and encoded."""

    __slots__ = ("_asked", "_decode", "_encode", "_inference")

    _asked: float
    _decode: Phase | None
    _encode: Phase | None
    _inference: Inference | None

    @property
    def inference(self) -> Inference | None:
        """The inference, whose decode and encode are timed."""
        return self._inference

    @inference.setter
    def inference(self, inference: Inference | None) -> None:
        self._inference = inference
        self._asked, self._decode, self._encode = perf_counter(), None, None
        if inference is not None:
            inference.decode = self._timed("decode", inference.decode)
            inference.encode = self._timed("encode", inference.encode)

    def _timed(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any) -> Any:
            begin, failed = perf_counter(), True
            try:
                result = step(*args)
                failed = False
            finally:
                setattr(self, f"_{name}", Phase(name, begin, perf_counter(), failed))
            return result

        return timed

    def timeline(self) -> list[Phase]:
        """Return the phases so far, in their order."""
        inference = self._inference
        if inference is None or inference.ran is None:
            return []
        streamed = self.response is not None and self.response.chunks is not None
        times = Times(self._asked, self._decode, self._encode, perf_counter(), streamed)
        return make_timeline(times, inference.ran, inference.verb)


def make_timeline(times: Times, ran: Ran, verb: InferenceVerb) -> list[Phase]:
    """Return queue, decode, the model's steps, encode and stream, as far as they have come.

    The steps' durations are known, and where they lie: after decode, up to encode. What is left
    between them is the wait for a batch, which comes after preprocess.
    """
    decode, encode = times.decode, times.encode
    if decode is None:  # it never had its turn
        return [Phase("queue", times.asked, times.end)]
    phases = [Phase("queue", times.asked, decode.begin), decode]
    if decode.failed:
        return phases
    phases += _steps(ran, verb, decode.end, encode.begin if encode else times.end)
    if encode is not None:
        phases.append(encode)
        if times.streamed:
            phases.append(Phase("stream", encode.end, times.end))
    return phases


def _steps(ran: Ran, verb: InferenceVerb, begin: float, end: float) -> list[Phase]:
    """Return the model's steps between two times; one that did not end is the one that failed."""
    names = ("preprocess", "explain" if verb is InferenceVerb.EXPLAIN else "predict", "postprocess")
    phases: list[Phase] = []
    rest = sum(seconds for _, seconds in ran.phases())
    waited = max(0.0, end - begin - rest)
    for index, name in enumerate(names):
        seconds: float | None = getattr(ran, name)
        if seconds is None:
            phases.append(Phase(name, begin, end, failed=True))
            break
        phases.append(Phase(name, begin, begin + seconds))
        begin += seconds
        if index == 0 and ran.postprocess is not None and waited >= _SHORTEST_WAIT:
            phases.append(Phase("batch", begin, begin + waited))
            begin += waited
    return phases

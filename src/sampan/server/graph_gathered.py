"""Calls of a graph's local model that come in one turn of the loop: one predict for all of them.

What they all cost else is being requests: heads, ids, handlers, a job each. Here a call is its body
and who waits for it. Only the plainest calls are taken, whose answer cannot differ: rows of
numbers, V1's or V2's, to a quick, row-wise model that looks at no headers. Anything else, and
whatever goes wrong, is asked as a request (`graph_local`), so that there is one judge of what is an
error. Counted as the model's server counts it. Answers are values, which the next step is handed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from time import perf_counter
from typing import NamedTuple, TypeAlias

from sampan.router.body import Body
from sampan.router.steps import JSON, Outcome
from sampan.router.walk import Cancel, Done
from sampan.server.batching import USUAL_SIZE, BatchLimits, Part, merge
from sampan.server.dataplane import DataPlane
from sampan.server.graph_agenda import Agenda
from sampan.server.graph_metrics import StepMetrics
from sampan.server.graph_parts import Decoded
from sampan.server.graph_values import carry_parts, size_of
from sampan.server.model import Model
from sampan.server.pace import INLINE_BYTES, SLOW_SECONDS
from sampan.server.repository import Entry
from sampan.server.steps import Ran

AsRequest: TypeAlias = Callable[[Body, Done, float], Cancel]
"""Asks with a body as a request does; the call began at a time of `perf_counter`."""

_PREDICT = re.compile(r"/v1/models/([^/%:]+):predict|/v2/models/([^/%:]+)/infer")


class Asked(NamedTuple):
    """Whom a path asks for a prediction, and in which protocol."""

    model: str
    v2: bool


def parse_path(path: str) -> Asked | None:
    """Return whom a path asks; None where it asks for something else."""
    found = _PREDICT.fullmatch(path)
    return Asked(found[1] or found[2], found[1] is None) if found else None


class Shared(NamedTuple):
    """What the steps of a process share: its models, bodies that were read, by whether V2's, and
    what is to be done.
    """

    dataplane: DataPlane
    decoded: Mapping[bool, Decoded]
    agenda: Agenda


class GatheredCall:
    """One call: until its turn it waits, then it is over, or asked as a request."""

    __slots__ = ("as_request", "began", "body", "done")

    def __init__(self, body: Body, done: Done) -> None:
        self.body = body
        self.done: Done | None = done
        self.began = perf_counter()
        self.as_request: Cancel | None = None

    def cancel(self) -> None:
        """Call it off; nothing is told."""
        self.done = None
        if self.as_request is not None:
            self.as_request()


class Gathered:
    """The calls of one step's model. Used on its loop's thread."""

    def __init__(
        self, models: Shared, asked: Asked, counts: StepMetrics, as_request: AsRequest
    ) -> None:
        self._models = models.dataplane
        self._decoded = models.decoded[asked.v2]
        self._name = asked.model
        self._counts = counts
        self._agenda = models.agenda
        self._as_request = as_request
        self._entry: Entry | None = None  # the one that was found plain, or is looked at anew
        self._waiting: list[GatheredCall] = []

    def call(self, body: Body, done: Done) -> Cancel | None:
        """Take a call in, and return what calls it off; None where it is to be a request."""
        if size_of(body) > INLINE_BYTES:
            return None
        if not self._waiting:
            if not self._is_quick():
                return None
            self._agenda.add(self._take)
        call = GatheredCall(body, done)
        self._waiting.append(call)
        return call.cancel

    def _is_quick(self) -> bool:
        """Whether the model answers here and now, and nothing is left out by asking it so."""
        entry = self._models.repository.find(self._name)
        if entry is None or not (entry.ready and entry.pace.inline) or entry.pace.doubt:
            return False
        if entry is not self._entry:
            self._entry = entry if _is_plain(entry) and _is_bare(self._models) else None
        return self._entry is not None

    def _take(self) -> None:
        """Predict for what has gathered, by what fits together."""
        calls, self._waiting = self._waiting, []
        fitting: dict[Hashable, tuple[list[GatheredCall], list[Part]]] = {}
        others: list[GatheredCall] = []
        for call in calls:
            if call.done is None:
                continue
            part = self._decoded.rows(call.body)
            if part is None:
                others.append(call)
                continue
            group = fitting.setdefault(part.signature, ([], []))
            group[0].append(call)
            group[1].append(part)
        for together, parts in fitting.values():
            answers = self._predict(together, parts)
            if answers is None:
                others += together
            else:
                self._answer(together, answers)
        for call in others:
            self._ask(call)

    def _predict(self, calls: Sequence[GatheredCall], parts: Sequence[Part]) -> list[Body] | None:
        """Return the answers, None where they are to be asked as requests."""
        entry = self._entry
        if entry is None or not self._is_quick() or sum(p.rows for p in parts) > USUAL_SIZE:
            return None
        began = perf_counter()
        try:
            answers = carry_parts(entry.model.predict(merge(parts, arrays=True), {}), parts)
        except Exception:  # noqa: BLE001  # asked as a request, it is told as it is
            return None
        ended = perf_counter()
        entry.pace.doubt = ended - began > SLOW_SECONDS
        metrics = self._models.metrics
        metrics.observe_batch(self._name, len(calls), [began - call.began for call in calls])
        ran = Ran(preprocess=0.0, predict=ended - began, postprocess=0.0)
        metrics.of(self._name).count_all(ran, [ended - call.began for call in calls], "200")
        return answers

    def _answer(self, calls: Sequence[GatheredCall], answers: Sequence[Body]) -> None:
        now = perf_counter()
        took = [now - call.began for call in calls]
        self._counts.count_all(200, took)
        for call, answer in zip(calls, answers, strict=True):
            done, call.done = call.done, None
            if done is not None:  # else what another's answer led to called it off
                done(Outcome(200, answer, JSON))

    def _ask(self, call: GatheredCall) -> None:
        done, call.done = call.done, None
        if done is not None:
            call.as_request = self._as_request(call.body, done, call.began)


def _is_plain(entry: Entry) -> bool:
    """Whether predict is all that a model does, and answers rows whatever stands beside them."""
    model, kind = entry.model, type(entry.model)
    promised = model.row_wise and model.quick and model.takes_arrays and not model.takes_headers
    steps = entry.own.preprocess or entry.own.postprocess or kind.validate is not Model.validate
    special = model.return_response_headers or entry.asynchronous or model.batch_limits is not None
    return promised and not steps and not special


def _is_bare(models: DataPlane) -> bool:
    """Whether nobody else decides about inferences, or is told of them."""
    return (
        models.admission is None
        and models.on_end is None
        and not models.batch_all
        and models.batch_limits == BatchLimits()
    )

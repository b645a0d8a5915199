# ruff: noqa: ARG002  # models have the parameters of KServe's signatures, used or not
"""Batching: what is predicted together is answered as if each had come alone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from sampan.protocol import v1, v2
from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferOutput, InferRequest, InferResponse
from sampan.runtimes.sklearn_quick import make_quick_predict
from sampan.runtimes.sklearn_rows import is_row_wise
from sampan.server.batch_run import BatchModel, run_jobs
from sampan.server.batching import BatchLimits, make_part, select_count
from sampan.server.job import Inference, Job
from sampan.server.model import Model
from sampan.server.repository import ModelRepository

JSON = {"Content-Type": "application/json"}


class Doubling(Model):
    """Answers each row with its double; refuses rows that hold 13. Counts its calls."""

    row_wise = True

    def __init__(self, name: str = "m") -> None:
        super().__init__(name)
        self.ready = True
        self.sizes: list[int] = []

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        if not isinstance(payload, InferRequest):
            rows = payload["instances"]
            self.sizes.append(len(rows))
            array = np.array(rows)
            if (array == 13).any():
                raise InvalidInput("13 is not served")
            return {"predictions": array * 2}
        outputs = []
        for tensor in payload.inputs:
            array = tensor.as_numpy()
            self.sizes.append(len(array))
            if array.dtype.kind in "iuf" and (array == 13).any():
                raise InvalidInput("13 is not served")
            array = array if array.dtype.kind in "Ob" else (array * 2).astype(array.dtype)
            output = InferOutput(tensor.name + "-out", list(array.shape), tensor.datatype)
            output.set_data_from_numpy(array)
            outputs.append(output)
        return InferResponse(payload.id or "", self.name, outputs)


def job_v1(body: bytes) -> Job:
    return Job(
        Inference("m", {}, len(body), lambda: v1.decode(body, b"application/json"),
                  lambda result, _: v1.encode(result)[0]),
        lambda _: None,
    )  # fmt: skip


def job_v2(body: bytes, length: bytes | None = None) -> Job:
    media = b"application/octet-stream" if length else b"application/json"
    return Job(
        Inference("m", {}, len(body), lambda: v2.decode(body, media, length, "m"),
                  lambda result, _: v2.encode(result)[0]),
        lambda _: None,
    )  # fmt: skip


def outcomes(model: Model, jobs: list[Job], limits: BatchLimits | None = None) -> list[Any]:
    settled = [j for group in run_jobs(BatchModel.of(model), jobs, limits or BatchLimits())
               for j in group]  # fmt: skip
    assert sorted(map(id, settled)) == sorted(map(id, jobs)), "each job is settled once"
    return [str(job.outcome) if isinstance(job.outcome, Exception) else job.outcome for job in jobs]


numbers = st.one_of(st.integers(-100, 100), st.floats(-1e6, 1e6), st.just(13))
widths = st.integers(1, 3)
bodies_v1 = widths.flatmap(
    lambda width: st.lists(
        st.lists(numbers, min_size=width, max_size=width), min_size=0, max_size=4
    )
).map(lambda rows: json.dumps({"instances": rows}).encode())
DATATYPES = {"FP64": st.floats(-9, 9), "INT32": st.integers(-20, 20), "BOOL": st.booleans(),
             "BYTES": st.text(max_size=3), "FP32": st.floats(-9, 9, width=32)}  # fmt: skip


@st.composite
def request_v2(draw: Any) -> bytes:
    rows, width = draw(st.integers(0, 3)), draw(widths)
    inputs = []
    for name in draw(st.sampled_from([["a"], ["a", "b"], ["b"]])):
        datatype = draw(st.sampled_from(sorted(DATATYPES)))
        count = rows * width
        data = draw(st.lists(DATATYPES[datatype], min_size=count, max_size=count))
        if draw(st.booleans()):
            data = [data[i * width : (i + 1) * width] for i in range(rows)]
        inputs.append({"name": name, "shape": [rows, width], "datatype": datatype, "data": data})
    body: dict[str, Any] = {"id": draw(st.sampled_from(["x", "y"])), "inputs": inputs}
    if draw(st.booleans()):
        body["parameters"] = {"t": draw(st.sampled_from([1, 1.0, True, "1"]))}
    return json.dumps(body).encode()


broken = st.sampled_from([b"{", b"[]", b"{}", b'{"instances": 5}', b'{"instances": [[1], [1, 2]]}'])
requests = st.lists(
    st.one_of(
        bodies_v1.map(lambda body: (job_v1, body)),
        request_v2().map(lambda body: (job_v2, body)),
        broken.map(lambda body: (job_v1, body)),
        broken.map(lambda body: (job_v2, body)),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(requests, st.sampled_from([BatchLimits(), BatchLimits(3), BatchLimits(8, 0.0, (2, 4))]))
def test_batched_equals_unbatched_byte_for_byte(
    asked: list[tuple[Callable[[bytes], Job], bytes]], limits: BatchLimits
) -> None:
    together = outcomes(Doubling(), [make(body) for make, body in asked], limits)
    alone = [outcomes(Doubling(), [make(body)])[0] for make, body in asked]
    assert together == alone


def test_requests_that_fit_are_one_call_and_a_bad_one_fails_only_its_caller() -> None:
    model = Doubling()
    jobs = [job_v1(b'{"instances": [[%d]]}' % n) for n in (1, 2, 13, 4, 5, 6, 7, 8)]
    answers = outcomes(model, jobs)
    assert answers[2] == "13 is not served"
    assert [json.loads(a)["predictions"] for a in answers if isinstance(a, bytes)] == [
        [[2 * n]] for n in (1, 2, 4, 5, 6, 7, 8)
    ]
    assert model.sizes[0] == 8
    assert len(model.sizes) == 7, "halving finds one in eight in seven calls, not nine"


def test_binary_tensors_are_joined_and_parted() -> None:
    tensor = {"name": "a", "shape": [1, 2], "datatype": "FP32"}
    tensor["parameters"] = {"binary_data_size": 8}
    head = json.dumps({"id": "x", "inputs": [tensor]}).encode()
    jobs = [job_v2(head + np.array([n, n], "<f4").tobytes(), b"%d" % len(head)) for n in (1, 2, 3)]
    model = Doubling()
    answers = [json.loads(answer) for answer in outcomes(model, jobs)]
    assert [answer["outputs"][0]["data"] for answer in answers] == [[2, 2], [4, 4], [6, 6]]
    assert model.sizes == [3]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _: {"predictions": [1]}, "one row for all"),
        (lambda rows: {"predictions": list(rows), "extra": 1}, "more than predictions"),
        (list, "no dict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_model_that_breaks_its_promise_is_asked_for_each_request(answer, why) -> None:
    class Breaking(Model):
        row_wise = True

        def predict(self, payload, headers=None, response_headers=None):
            return answer(payload["instances"])

    bodies = [b'{"instances": [1]}', b'{"instances": [2]}']
    together = outcomes(Breaking("m"), [job_v1(body) for body in bodies])
    assert together == [outcomes(Breaking("m"), [job_v1(body)])[0] for body in bodies]


@pytest.mark.parametrize(
    ("rows", "limits", "count"),
    [
        ([1, 1, 1], BatchLimits(8), 3),
        ([1, 1, 1], BatchLimits(2), 2),
        ([9], BatchLimits(2), 1),
        ([1, 2, 3], BatchLimits(8, 0.0, (3,)), 2),
        ([1, 2, 3], BatchLimits(8, 0.0, (4,)), 3),
        ([1, 1, 2, 1], BatchLimits(8, 0.0, (2, 4)), 3),
    ],
)
def test_a_batch_keeps_within_its_size_and_fills_a_preferred_one(rows, limits, count) -> None:
    assert select_count(rows, limits) == count


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"instances": [[1]]}, {"instances": [[1.5]]}),
        ({"instances": [[1]]}, {"instances": [1]}),
        ({"instances": [[1]]}, {"instances": [[1, 2]]}),
        ({"instances": ["a"]}, {"instances": [1]}),
    ],
)
def test_what_would_change_a_row_is_not_joined(one, other) -> None:
    parts = make_part(one), make_part(other)
    assert parts[0] is not None and parts[1] is not None  # noqa: PT018  # both are joinable alone
    assert parts[0].signature != parts[1].signature
    assert make_part({"instances": [[1]], "more": 1}) is None
    assert make_part({"instances": []}) is None


async def test_while_a_model_is_busy_requests_gather_and_are_taken_together(serve) -> None:
    go = threading.Event()

    class Slow(Doubling):
        def predict(self, payload, headers=None, response_headers=None):
            go.wait(5)
            return super().predict(payload, headers, response_headers)

    model = Slow()
    server = await serve(model)
    waiting = []
    for number in range(6):
        body = json.dumps({"instances": [[number]]})
        waiting.append(asyncio.ensure_future(server.ask("POST", "/v1/models/m:predict", body)))
        await asyncio.sleep(0.03)
    assert (await server.ask("GET", "/v2/health/ready")).status == 200
    go.set()
    answers = [answer.json["predictions"] for answer in await asyncio.gather(*waiting)]
    assert answers == [[[2 * number]] for number in range(6)]
    assert model.sizes == [1, 5]


async def test_max_latency_waits_for_company_and_a_full_batch_does_not_wait(serve) -> None:
    model = Doubling()
    server = await serve(model)
    server.dataplane.batch_limits = BatchLimits(4, 0.3)

    async def ask(number: int) -> float:
        begun = asyncio.get_running_loop().time()
        answer = await server.ask("POST", "/v1/models/m:predict", f'{{"instances":[[{number}]]}}')
        assert answer.json == {"predictions": [[2 * number]]}
        return asyncio.get_running_loop().time() - begun

    took = await asyncio.gather(*(ask(n) for n in range(4)))
    assert max(took) < 0.25
    assert model.sizes == [4]
    assert await ask(7) >= 0.29


async def test_kserves_batcher_asked_for_batches_any_model_and_names_the_batch(serve, echo) -> None:
    class Sums(Model):
        def predict(self, payload, headers=None, response_headers=None):
            return {"predictions": [sum(row) for row in payload["instances"]]}

    model = Sums("m")
    model.load()
    server = await serve(model)
    server.dataplane.batch_limits = BatchLimits(32, 0.05, (), tagged=True)
    server.dataplane.batch_all = True
    answers = await asyncio.gather(
        *(server.ask("POST", "/v1/models/m:predict", f'{{"instances":[[{n},1]]}}') for n in (1, 2))
    )
    bodies = [answer.json for answer in answers]
    assert [body["predictions"] for body in bodies] == [[2], [3]]
    assert [list(body) for body in bodies] == [["message", "batchId", "predictions"]] * 2
    assert bodies[0]["batchId"] == bodies[1]["batchId"] != ""


IRIS = np.random.default_rng(7).normal(3, 2, (90, 4)), np.arange(90) % 3


@pytest.mark.parametrize(
    ("estimator", "known"),
    [
        (SVC(), True),
        (SVR(), True),
        (RandomForestClassifier(5), True),
        (make_pipeline(StandardScaler(), SVC()), True),
        (LogisticRegression(), False),
        (make_pipeline(StandardScaler(), LogisticRegression()), False),
        (RandomForestClassifier(5, n_jobs=2), False),
        (SVC(kernel=lambda a, b: a @ b.T), False),
        (type("Mine", (SVC,), {})(), False),
    ],
    ids=str,
)
def test_only_estimators_that_are_known_to_be_row_wise_are_batched(estimator, known) -> None:
    estimator.fit(*IRIS)
    assert is_row_wise(estimator) is known


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([SVC(), SVC(kernel="poly"), SVR(), RandomForestClassifier(5, random_state=0)]),
    st.integers(2, 40),
    st.integers(0, 2**32 - 1),
)
def test_known_estimators_answer_a_row_with_the_same_bits_in_any_company(
    estimator: Any, count: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).normal(3, 2, (count, 4))
    predict = estimator.fit(*IRIS).predict
    whole = predict(rows)
    assert whole.tobytes() == b"".join(predict(row[None]).tobytes() for row in rows)
    quick = make_quick_predict(estimator)
    if quick is not None:
        assert quick(rows).tobytes() == whole.tobytes()
        for other in (np.float32, np.int64):
            assert quick(rows.astype(other)).tobytes() == predict(rows.astype(other)).tobytes()


@pytest.mark.parametrize(
    "rows",
    [[[1.0, 2.0, 3.0]], [[float("nan")] * 4], [1.0], [["a"] * 4], [[1, 2, 3, 4]], []],
    ids=["too narrow", "not a number", "flat", "text", "whole numbers", "nothing"],
)
def test_the_shorter_way_refuses_what_scikit_learn_refuses_in_its_words(rows) -> None:
    estimator = SVC().fit(*IRIS)
    quick = make_quick_predict(estimator)
    assert quick is not None

    def told(predict: Any) -> Any:
        try:
            return predict(np.array(rows)).tolist()
        except ValueError as error:
            return str(error)

    assert told(quick) == told(estimator.predict)


async def test_a_promise_of_rows_that_cannot_be_used_is_named(caplog):
    class Slow(Model):
        row_wise = True

        async def predict(self, payload, *_rest):
            return payload

    ModelRepository().update(Slow("slow"))
    assert 'model "slow" promises row_wise and is not batched' in caplog.text

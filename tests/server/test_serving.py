# ruff: noqa: ARG002  # models have the parameters of KServe's signatures, used or not
"""How a server behaves while models are slow, broken, loading, many."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.sklearn import SKLearnModel
from sampan.server.model import Model
from sampan.server.pace import FIRST_ROW, QUICK_SECONDS, SLOW_SECONDS, Pace
from sampan.server.workers import Workers

JSON = {"Content-Type": "application/json"}


def loaded(model: Model) -> Model:
    model.load()
    return model


class Held(Model):
    """Answers when it is told to."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.go = threading.Event()

    def predict(self, payload: Any, headers: Any = None) -> Any:
        assert headers is not None
        self.go.wait(5)
        return payload


async def test_health_and_other_models_answer_while_predict_works(serve, echo):
    held = loaded(Held("held"))
    server = await serve(held, echo)
    waiting = [
        asyncio.ensure_future(server.ask("POST", "/v1/models/held:predict", "{}")) for _ in range(3)
    ]
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    for path in ("/", "/v2/health/ready", "/v1/models/held"):
        assert (await server.ask("GET", path)).status == 200
    assert (await server.ask("POST", "/v1/models/echo:predict", "{}")).status == 200
    assert time.monotonic() - begun < 0.5
    assert not any(task.done() for task in waiting)
    held.go.set()
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * 3


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyError("boom"), 500, "KeyError : 'boom'"),
        (InvalidInput("too long"), 400, "too long"),
        (NotImplementedError("not here"), 501, "not here"),
        (SystemExit(1), 500, "RuntimeError : SystemExit raised by the model"),
        (ValueError("\udcff"), 500, "ValueError : \\udcff"),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_what_a_model_raises_becomes_the_answer(serve, error, status, text, asynchronous):
    class Raising(Model):
        def predict(self, payload, headers=None):
            raise error

    class RaisingLater(Model):
        async def predict(self, payload, headers=None):
            raise error

    if asynchronous and isinstance(error, SystemExit):
        pytest.skip("a SystemExit inside the loop ends the process, as its author asked")
    server = await serve(loaded((RaisingLater if asynchronous else Raising)("m")))
    answer = await server.ask("POST", "/v1/models/m:predict", "{}")
    assert (answer.status, answer.json["error"]) == (status, text)
    assert (await server.ask("GET", "/")).status == 200


async def test_async_steps_run_on_the_loop_and_in_order(serve):
    seen: list[str] = []

    class Async(Model):
        async def preprocess(self, payload, headers=None):
            await asyncio.sleep(0)
            seen.append("preprocess")
            return payload

        async def predict(self, payload, headers=None):
            seen.append(threading.current_thread().name)
            return {"predictions": payload["instances"]}

        def postprocess(self, result, headers=None):
            seen.append("postprocess")
            return result

    answer = await (await serve(loaded(Async("m")))).ask(
        "POST", "/v1/models/m:predict", '{"instances":[1]}'
    )
    assert answer.body == b'{"predictions":[1]}'
    assert seen == ["preprocess", threading.current_thread().name, "postprocess"]


async def test_validation_comes_after_preprocess(serve):
    class Mending(Model):
        def preprocess(self, payload, headers=None):
            return {"instances": [payload["instances"]]}

        def predict(self, payload, headers=None):
            return payload

    answer = await (await serve(loaded(Mending("m")))).ask(
        "POST", "/v1/models/m:predict", '{"instances":5}'
    )
    assert answer.body == b'{"instances":[5]}'


async def test_a_model_that_is_not_ready_says_why(serve):
    model = Model("m")
    server = await serve(model)
    assert (await server.ask("GET", "/v1/models")).json == {"models": ["m"]}
    for method, path in (
        ("GET", "/v1/models/m"),
        ("GET", "/v2/models/m/ready"),
        ("POST", "/v1/models/m:predict"),
        ("POST", "/v2/models/m/infer"),
    ):
        answer = await server.ask(method, path, "junk" if method == "POST" else "")
        assert (answer.status, answer.json["error"]) == (503, "Model with name m is not ready.")
    server.dataplane.repository.get("m").reason = "the file is gone"
    assert "the file is gone" in (await server.ask("GET", "/v1/models/m")).json["error"]
    ready = await server.ask("GET", "/v2/health/ready")
    assert (ready.status, ready.body) == (503, b'{"error":"Server is not ready."}')
    assert (await server.ask("GET", "/v2/health/live")).status == 200


async def test_models_load_and_unload_by_request(serve, iris_folder):
    server = await serve(make=lambda name: SKLearnModel(name, iris_folder))
    assert (await server.ask("POST", "/v2/repository/models/a/load")).status == 200
    body = '{"instances":[[6.8,2.8,4.8,1.4]]}'
    assert (await server.ask("POST", "/v1/models/a:predict", body)).body == b'{"predictions":[1]}'
    assert (await server.ask("POST", "/v2/repository/models/a/unload")).status == 200
    assert (await server.ask("POST", "/v1/models/a:predict", body)).status == 404


async def test_a_model_that_does_not_load_is_told_with_the_error(serve, tmp_path):
    server = await serve(make=lambda name: SKLearnModel(name, str(tmp_path / name)))
    answer = await server.ask("POST", "/v2/repository/models/gone/load")
    assert answer.status == 503
    assert answer.json["error"].startswith("Model with name gone is not ready. Error type: <class")
    assert "does not exist" in answer.json["error"]
    assert (await server.ask("GET", "/v1/models")).json == {"models": []}
    assert (await server.ask("GET", "/v2/health/ready")).status == 200
    server.dataplane.repository.update(Model("m")).reason = "no file"
    index = await server.ask("POST", "/v2/repository/index")
    assert index.json == [{"name": "m", "state": "NotReady", "reason": "no file"}]
    assert (await server.ask("POST", "/v2/repository/index", '{"ready":true}')).json == []
    assert (await server.ask("POST", "/v2/repository/index", "[]")).status == 400


async def test_metrics_count_each_step_of_each_model(serve, iris, echo):
    server = await serve(iris, echo)
    for _ in range(3):
        await server.ask("POST", "/v1/models/sk:predict", '{"instances":[[6.8,2.8,4.8,1.4]]}')
    await server.ask("POST", "/v1/models/sk:predict", "junk")
    answer = await server.ask("GET", "/metrics")
    lines = answer.body.decode().splitlines()
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for step in ("preprocess", "predict", "postprocess"):
        assert f'request_{step}_seconds_count{{model_name="sk"}} 3.0' in lines
        assert f'request_{step}_seconds_bucket{{le="+Inf",model_name="sk"}} 3.0' in lines
        assert f"# TYPE request_{step}_seconds histogram" in lines
    assert "# TYPE request_explain_seconds histogram" in lines
    assert not any('model_name="echo"' in line for line in lines)
    values = {line.split()[0]: float(line.split()[1]) for line in lines if line[0] != "#"}
    assert values["process_resident_memory_bytes"] > 10e6
    assert values["process_start_time_seconds"] < time.time()


def test_a_quick_model_earns_the_loop_and_loses_it_at_the_first_slow_call():
    pace = Pace()
    for _ in range(FIRST_ROW):
        assert not pace.inline
        pace.observe(QUICK_SECONDS / 2)
    assert pace.inline
    pace.observe(SLOW_SECONDS * 2)
    assert not pace.inline
    for _ in range(2 * FIRST_ROW - 1):
        pace.observe(QUICK_SECONDS / 2)
    assert not pace.inline
    pace.observe(QUICK_SECONDS / 2)
    assert pace.inline


async def test_workers_keep_context_variables_and_hand_errors_over():
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    workers = Workers(2)
    variable.set("mine")
    assert await workers.run(variable.get) == "mine"
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 // 0)


async def test_no_more_threads_than_asked_for_and_none_before_the_first_job():
    before = threading.active_count()
    workers = Workers(2)
    assert threading.active_count() == before
    gate = threading.Event()
    jobs = [asyncio.ensure_future(workers.run(lambda: gate.wait(5))) for _ in range(5)]
    await asyncio.sleep(0.05)
    assert threading.active_count() == before + 2
    gate.set()
    assert await asyncio.gather(*jobs) == [True] * 5


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["instances", "inputs", "outputs", "id", "parameters", "name", "shape", "datatype",
             "data", "binary_data_size", "content_type"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=25,
)  # fmt: skip
TENSOR = st.fixed_dictionaries(
    {
        "name": st.text(max_size=3),
        "shape": st.lists(st.integers(-2, 5), max_size=3),
        "datatype": st.sampled_from(
            ["BOOL", "INT8", "INT64", "UINT64", "FP16", "FP32", "BYTES", "x"]
        ),
        "data": JSON_VALUES.map(lambda v: v if isinstance(v, list) else [v]),
    },
    optional={"parameters": JSON_VALUES},
)
BODIES = (
    st.binary(max_size=60)
    | JSON_VALUES.map(lambda v: json.dumps(v).encode())
    | st.lists(TENSOR, max_size=2).map(lambda t: json.dumps({"inputs": t}).encode())
    | JSON_VALUES.map(lambda v: json.dumps({"instances": v}).encode())
)
TYPES = st.sampled_from(
    ["application/json", "application/octet-stream", "text/plain", "application/cloudevents+json"]
)
LENGTHS = st.none() | st.integers(-1, 80).map(str)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.filterwarnings("ignore:X has feature names")  # as loading a model sets it
@given(BODIES, TYPES, LENGTHS, st.sampled_from(["/v1/models/sk:predict", "/v2/models/sk/infer"]))
def test_no_body_whatever_gets_a_5xx_or_hangs(iris, body, kind, length, path):
    from sampan.server.dataplane import DataPlane
    from sampan.server.repository import ModelRepository
    from sampan.server.rest import Rest
    from sampan.wire.message import Request, Response

    async def ask() -> Response:
        repository = ModelRepository()
        repository.update(iris).pace.inline = True
        headers = [(b"content-type", kind.encode())]
        if length is not None:
            headers.append((b"inference-header-content-length", length.encode()))
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        rest = Rest(DataPlane(repository, Workers(1)))
        rest.submit(Request(b"POST", path.encode(), headers, body), answer.set_result)
        return await asyncio.wait_for(answer, 5)

    answer = asyncio.run(ask())
    assert answer.status < 500, answer.body
    assert json.loads(answer.body)

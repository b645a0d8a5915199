"""MLServer's projects with built-in implementations: settings, outputs, repository, bad files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pytest
import tritonclient.grpc.aio as over_grpc
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sampan.protocol.errors import InvalidInput
from sampan.protocol.tensors import InferInput, InferRequest, RequestedOutput
from sampan.runtimes.mlserver.arguments import translate
from sampan.runtimes.mlserver.runtime import make_offer
from sampan.runtimes.mlserver.settings import gather_models, gather_server_warnings
from sampan.runtimes.serving import Order
from sampan.server.dataplane import DataPlane
from sampan.server.grpc import Grpc
from sampan.server.load_failure import LoadFailure
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

SKLEARN = "mlserver_sklearn.SKLearnModel"
ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]


def project(root: Path, place: str = "iris", **settings: Any) -> Path:
    """Write a project with a classifier of irises."""
    folder = root / place
    folder.mkdir(parents=True)
    x, y = load_iris(return_X_y=True)
    joblib.dump(SVC(gamma="scale").fit(x, y), folder / "model.joblib")
    made = {"name": "iris", "implementation": SKLEARN, **settings}
    (folder / "model-settings.json").write_text(json.dumps(made))
    return root


def models(root: Path, *, trust: bool = False, **environ: str) -> list[Any]:
    return gather_models(root, environ, trust=trust)


def failure(root: Path, **environ: str) -> LoadFailure:
    with pytest.raises(LoadFailure) as caught:
        models(root, **environ)
    return caught.value


def request(*outputs: str) -> InferRequest:
    wanted = [RequestedOutput(name) for name in outputs] or None
    tensor = InferInput("x", [2, 4], "FP64", [value for row in ROWS for value in row])
    return InferRequest("iris", [tensor], "1", request_outputs=wanted)


@asynccontextmanager
async def serve(root: Path) -> AsyncIterator[str]:
    offer = make_offer(Order("model", root))
    dataplane = DataPlane(offer.repository, Workers(4))
    for name in offer.repository.names():
        offer.repository.get(name).model.load()
    dataplane.started = True
    rest = Rest(dataplane, None, None, offer.api)
    listener = Listener(rest.submit, None, Grpc(dataplane, api=offer.api))
    await listener.listen("127.0.0.1", 0)
    yield f"127.0.0.1:{listener.address[1]}"
    await listener.drain(0)


def test_an_answer_has_mlservers_name_and_a_column(tmp_path):
    model = make_offer(Order("model", project(tmp_path))).repository.get("iris").model
    model.load()
    (output,) = model.predict(request()).outputs
    assert (output.name, output.shape, output.datatype) == ("predict", [2, 1], "INT64")
    assert (output.data, output.parameters) == ([1, 1], {"content_type": "np"})
    assert model.predict(request("predict")).outputs[0].data == [1, 1]
    assert model.get_output_types()[0]["name"] == "predict"


def test_an_output_that_is_not_there(tmp_path):
    model = make_offer(Order("model", project(tmp_path))).repository.get("iris").model
    model.load()
    with pytest.raises(InvalidInput, match=r"'predict_proba' and 'transform' as outputs \(x was"):
        model.predict(request("x"))
    with pytest.raises(InvalidInput, match='a "SVC", has no "transform"'):
        model.predict(request("transform"))


def test_outputs_are_functions_of_the_estimator(tmp_path):
    project(tmp_path)
    x, y = load_iris(return_X_y=True)
    tree = DecisionTreeClassifier(random_state=0).fit(x, y)
    joblib.dump(tree, tmp_path / "iris" / "model.joblib")
    model = make_offer(Order("model", tmp_path)).repository.get("iris").model
    model.load()
    answer = model.predict(request("predict_proba", "predict"))
    told = {output.name: output for output in answer.outputs}
    assert list(told) == ["predict_proba", "predict"]
    assert told["predict_proba"].shape == [2, 3]
    assert told["predict_proba"].as_numpy().tolist() == tree.predict_proba(ROWS).tolist()
    assert told["predict"].shape == [2, 1]


def test_settings_choose_the_output_where_nothing_is_asked_for(tmp_path):
    project(tmp_path, parameters={"extra": {"predict_fn": "transform"}})
    x, _ = load_iris(return_X_y=True)
    clusters = KMeans(3, random_state=0, n_init=1).fit(x)
    joblib.dump(clusters, tmp_path / "iris" / "model.joblib")
    model = make_offer(Order("model", tmp_path)).repository.get("iris").model
    model.load()
    (output,) = model.predict(request()).outputs
    assert (output.name, output.shape) == ("transform", [2, 3])
    assert output.as_numpy().tolist() == clusters.transform(ROWS).tolist()


def test_kserves_variables_name_the_one_model(tmp_path):
    project(tmp_path)
    (tmp_path / "iris" / "model-settings.json").unlink()
    (found,) = models(
        tmp_path / "iris", MLSERVER_MODEL_NAME="sk", MLSERVER_MODEL_IMPLEMENTATION=SKLEARN
    )
    assert (found.name, found.implementation, found.uri) == ("sk", SKLEARN, tmp_path / "iris")


async def test_versions_metadata_and_repository_over_rest(tmp_path):
    project(tmp_path, parameters={"version": "v1", "uri": "./model.joblib"}, platform="sklearn")
    async with serve(tmp_path) as address, httpx.AsyncClient(base_url=f"http://{address}") as ask:
        metadata = (await ask.get("/v2/models/iris")).json()
        assert (metadata["versions"], metadata["platform"]) == (["v1"], "sklearn")
        body = {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP64", "data": ROWS}]}
        for path in ("/v2/models/iris", "/v2/models/iris/versions/v1"):
            answer = (await ask.post(path + "/infer", json=body)).json()
            assert answer["outputs"][0]["data"] == [1, 1]
            assert answer["model_version"] == "v1"
        other = await ask.post("/v2/models/iris/versions/v2/infer", json=body)
        assert (other.status_code, "iris with version v2" in other.text) == (404, True)
        assert (await ask.post("/v2/repository/models/iris/unload")).status_code == 200
        (row,) = (await ask.post("/v2/repository/index", json={})).json()
        assert (row["name"], row["state"], row["version"]) == ("iris", "UNAVAILABLE", "v1")
        assert (await ask.post("/v2/models/iris/infer", json=body)).status_code == 503
        assert (await ask.post("/v2/repository/models/iris/load")).status_code == 200
        assert (await ask.post("/v2/models/iris/infer", json=body)).status_code == 200


async def test_grpc(tmp_path):
    project(tmp_path)
    async with serve(tmp_path) as address, over_grpc.InferenceServerClient(address) as client:
        tensor = over_grpc.InferInput("x", [2, 4], "FP64")
        tensor.set_data_from_numpy(np.array(ROWS))
        answer = await client.infer("iris", [tensor])
        assert answer.as_numpy("predict").tolist() == [[1], [1]]
        index = await client.get_model_repository_index()
        assert [(m.name, m.state) for m in index.models] == [("iris", "READY")]


def test_of_two_versions_the_newer_is_served_and_the_other_named(tmp_path):
    project(tmp_path, "a", parameters={"version": "v2"})
    project(tmp_path, "b", parameters={"version": "v10"})
    (found,) = models(tmp_path)
    assert found.version == "v10"
    assert found.warnings == ('version "v2" is not served beside "v10"; rename one of them',)


WRONG = [
    ({"implementation": 3}, "implementation is 3; name a class"),
    ({"implementatoin": "x"}, 'unknown field "implementatoin"; did you mean "implementation"'),
    ({"parameters": []}, "parameters is []; give an object"),
    ({"parameters": {"uri": "./gone.joblib"}}, "Invalid URI specified for model iris"),
    ({"parameters": {"uri": "s3://bucket/x"}}, "parameters.uri is 's3://bucket/x'"),
    (
        {"parameters": {"environment_tarball": "./e.tar.gz"}},
        "iris/model-settings.json: parameters.environment_tarball is './e.tar.gz', and a model has",
    ),
    ({"parameters": {"environment_path": "./env"}}, "parameters.environment_path is './env'"),
    ({"parameters": {"inference_pool_gid": "a"}}, "parameters.inference_pool_gid is 'a'"),
    (
        {"parameters": {"autogenerate_inference_pool_gid": True}},
        "with the annotation serving.sampan.dev/requirements",
    ),
    ({"max_batch_size": -1}, "max_batch_size is -1; give a number from 0"),
]


@pytest.mark.parametrize(("settings", "words"), WRONG, ids=[words for _, words in WRONG])
def test_wrong_settings_name_field_value_and_mend(tmp_path, settings, words):
    assert words in failure(project(tmp_path, **settings)).message


@pytest.mark.parametrize("uri", ["../../secret.joblib", "/etc/passwd"])
def test_a_uri_leaves_the_project_only_where_it_is_trusted(tmp_path, uri):
    (tmp_path / "secret.joblib").write_bytes(b"x")
    told = failure(project(tmp_path / "project", parameters={"uri": uri}))
    assert told.reason == "ModelUntrusted"


def test_a_project_without_models_says_what_is_missing(tmp_path):
    assert "MLSERVER_MODEL_IMPLEMENTATION is not set" in failure(tmp_path).message


def test_no_json(tmp_path):
    (tmp_path / "model-settings.json").write_text("{")
    assert "no JSON" in failure(tmp_path).message


def test_a_class_of_the_project_is_not_imported_unless_trusted(tmp_path):
    mark = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    settings = {"name": "evil", "implementation": "evil.Model"}
    (tmp_path / "model-settings.json").write_text(json.dumps(settings))
    model = make_offer(Order("model", tmp_path)).repository.get("evil").model
    with pytest.raises(LoadFailure) as caught:
        model.load()
    assert caught.value.reason == "ModelUntrusted"
    assert "serving.sampan.dev/trust" in caught.value.message
    assert not mark.exists()


def test_what_has_no_effect_is_named(tmp_path):
    project(tmp_path, cache_enabled=True)
    (found,) = models(tmp_path)
    assert found.warnings == ("cache_enabled is not honoured: every request is computed",)
    (tmp_path / "settings.json").write_text('{"kafka_enabled": true, "debug": false}')
    (said,) = gather_server_warnings(tmp_path)
    assert '"kafka_enabled" of settings.json is not honoured' in said


@pytest.mark.parametrize(
    ("argv", "environ", "made"),
    [
        pytest.param(
            ["mlserver", "start", "./project", "--http_port=1"],
            {"MLSERVER_HTTP_PORT": "2", "MLSERVER_GRPC_PORT": "3"},
            ("--http_port=1", "--grpc_port=3", "--model_dir=./project"),
            id="arguments win over variables",
        ),
        pytest.param(
            ["--runtime=mlserver"],
            {"MLSERVER_MODEL_URI": "/mnt/models", "MLSERVER_MODEL_NAME": "sk"},
            ("--runtime=mlserver", "--model_name=sk", "--model_dir=/mnt/models"),
            id="as KServe starts it",
        ),
    ],
)
def test_arguments(argv, environ, made):
    assert translate(argv, environ).argv == made

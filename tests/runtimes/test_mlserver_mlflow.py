"""Projects of MLServer with `mlserver_mlflow.MLflowRuntime`: V2, and the scoring server's paths."""

from __future__ import annotations

import json
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sampan.runtimes.mlserver.runtime import make_offer
from sampan.runtimes.serving import Order
from sampan.server.dataplane import DataPlane
from sampan.server.load_failure import LoadFailure
from sampan.server.rest import Rest
from sampan.server.workers import Workers
from sampan.wire.listener import Listener

IMPLEMENTATION = "mlserver_mlflow.MLflowRuntime"
X, Y = load_iris(return_X_y=True, as_frame=True)
NAMES = list(X.columns)
ROWS = X.iloc[[0, 60, 120]].to_numpy().tolist()
SIGNATURE = [{"type": "double", "name": name, "required": True} for name in NAMES]


def project(root: Path, uri: str | None = "./model", **settings: object) -> Path:
    """Write a project with a tree of irises as MLflow saves it."""
    folder = root / "wine"
    saved = folder / (uri or ".")
    saved.mkdir(parents=True)
    tree = DecisionTreeClassifier(random_state=0).fit(X, Y)
    (saved / "model.pkl").write_bytes(pickle.dumps(tree))
    function = {
        "loader_module": "mlflow.sklearn", "model_path": "model.pkl", "predict_fn": "predict",
    }  # fmt: skip
    document = {
        "mlflow_version": "3.1.0",
        "flavors": {"python_function": function},
        "signature": {"inputs": json.dumps(SIGNATURE), "outputs": None},
    }
    (saved / "MLmodel").write_text(yaml.safe_dump(document))
    parameters = {"parameters": {"uri": uri, "version": "v3"}} if uri else {}
    made = {"name": "wine", "implementation": IMPLEMENTATION, **parameters, **settings}
    (folder / "model-settings.json").write_text(json.dumps(made))
    return root


@asynccontextmanager
async def asking(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the project without trust."""
    offer = make_offer(Order("model", root))
    for name in offer.repository.names():
        offer.repository.get(name).model.load()
    dataplane = DataPlane(offer.repository, Workers(4))
    dataplane.started = True
    listener = Listener(Rest(dataplane, None, None, offer.api).submit)
    await listener.listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.address[1]}"
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        yield client
    await listener.drain(0)


def columns() -> list[dict[str, object]]:
    return [
        {"name": name, "shape": [3, 1], "datatype": "FP64", "data": list(values),
         "parameters": {"content_type": "np"}}
        for name, values in zip(NAMES, zip(*ROWS, strict=True), strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("uri", ["./model", None], ids=["named by uri", "beside the settings"])
async def test_a_folder_of_mlflow_answers_v2_with_a_column(tmp_path, uri):
    async with asking(project(tmp_path, uri)) as client:
        body = {"id": "7", "parameters": {"content_type": "pd"}, "inputs": columns()}
        answer = (await client.post("/v2/models/wine/infer", json=body)).json()
    (output,) = answer["outputs"]
    assert (answer["id"], answer["model_name"]) == ("7", "wine")
    assert (output["name"], output["shape"], output["data"]) == ("output-1", [3, 1], [0, 1, 2])
    assert output["parameters"] == answer["parameters"] == {"content_type": "np"}


async def test_metadata_tells_the_signature_with_content_types(tmp_path):
    async with asking(project(tmp_path)) as client:
        told = (await client.get("/v2/models/wine/versions/v3")).json()
    assert told["inputs"] == [
        {"name": name, "datatype": "FP64", "shape": [-1, 1], "parameters": {"content_type": "np"}}
        for name in NAMES
    ]


SCORED = {
    "rows of a frame": ({"dataframe_split": {"columns": NAMES, "data": ROWS}}, "application/json"),
    "records": (
        {"dataframe_records": [dict(zip(NAMES, row, strict=True)) for row in ROWS]},
        "application/json; charset=utf-8",
    ),
    "CSV": (X.iloc[[0, 60, 120]].to_csv(index=False), "text/csv"),
}


@pytest.mark.parametrize(("body", "kind"), SCORED.values(), ids=SCORED.keys())
async def test_the_scoring_servers_path_answers_beside_v2(tmp_path, body, kind):
    content = body if isinstance(body, str) else json.dumps(body)
    async with asking(project(tmp_path)) as client:
        answer = await client.post("/invocations", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()) == (200, {"predictions": [0, 1, 2]})


async def test_the_scoring_servers_other_paths(tmp_path):
    async with asking(project(tmp_path)) as client:
        for path in ("/ping", "/health"):
            told = await client.get(path)
            assert (told.status_code, told.text) == (200, "\n")
        assert (await client.get("/version")).status_code == 200


async def test_invocations_ask_the_one_model_of_mlflow_among_others(tmp_path):
    project(tmp_path)
    other = tmp_path / "iris"
    other.mkdir()
    (other / "model.pkl").write_bytes(pickle.dumps(SVC().fit(X.to_numpy(), Y)))
    settings = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel"}
    (other / "model-settings.json").write_text(json.dumps(settings))
    async with asking(tmp_path) as client:
        answer = await client.post("/invocations", json={"inputs": ROWS})
        assert answer.json() == {"predictions": [0, 1, 2]}
        assert (await client.get("/v2/models/iris/ready")).status_code == 200


async def test_a_project_without_mlflow_has_no_such_paths(tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(SVC().fit(X.to_numpy(), Y)))
    settings = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel"}
    (tmp_path / "model-settings.json").write_text(json.dumps(settings))
    async with asking(tmp_path) as client:
        assert (await client.post("/invocations", json={"inputs": ROWS})).status_code == 404


async def test_an_output_or_a_column_that_is_not_there_is_named(tmp_path):
    async with asking(project(tmp_path)) as client:
        body = {"inputs": columns(), "outputs": [{"name": "proba"}]}
        asked = await client.post("/v2/models/wine/infer", json=body)
        short = await client.post("/v2/models/wine/infer", json={"inputs": columns()[1:]})
    assert (asked.status_code, short.status_code) == (400, 400)
    assert 'output "proba" is not served; ask for output-1' in asked.json()["error"]
    assert NAMES[0] in short.json()["error"]


def test_a_folder_without_mlmodel_says_what_is_missing(tmp_path):
    project(tmp_path)
    (tmp_path / "wine" / "model" / "MLmodel").unlink()
    with pytest.raises(LoadFailure, match='no "MLmodel" in') as caught:
        make_offer(Order("model", tmp_path)).repository.get("wine").model.load()
    assert caught.value.reason == "ModelMissing"


def test_a_loader_that_is_not_known_runs_only_where_it_is_trusted(tmp_path):
    project(tmp_path)
    file = tmp_path / "wine" / "model" / "MLmodel"
    file.write_text(file.read_text().replace("mlflow.sklearn", "own_loader"))
    with pytest.raises(LoadFailure) as caught:
        make_offer(Order("model", tmp_path)).repository.get("wine").model.load()
    assert caught.value.reason == "ModelUntrusted"

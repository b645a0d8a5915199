"""XGBoost, LightGBM, PMML and MLflow against the servers that their users run today."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.ask import Ask
from bench.peers import peer_python
from bench.processes import free_port, proportional_bytes, tree_of
from bench.row import Goal, Row, make_row
from bench.runtime_rows.starting import seconds_to_answer
from bench.runtime_rows.trained import model_folder, ours
from bench.server_rows.rounds import CONNECTIONS, measure_rounds
from bench.servers import Command, Ports, serving
from bench.setting import Setting

PEER = Path(__file__).parents[1] / "peer_tabular.py"
KSERVE = (
    "kserve==0.21.0", "xgboost-cpu==3.2.0", "lightgbm==4.7.0", "jpmml-evaluator==0.16.0", "pandas",
)  # fmt: skip
KSERVE_NAME = "kserve 0.21.0 ModelServer doing as its {}server does (bench/peer_tabular.py)"
MLSERVER = ("mlserver==1.7.1", "uvloop==0.21.0")
"""With the uvloop of its time: its workers do not start on a later one."""
MLSERVER_KINDS = {
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "lightgbm": "mlserver_lightgbm.LightGBMModel",
    "mlflow": "mlserver_mlflow.MLflowRuntime",
}
MLSERVER_PINS = {"xgboost": ("xgboost-cpu==3.2.0",), "lightgbm": ("lightgbm==4.7.0",), "mlflow": ()}
MLFLOW = ("mlflow==3.17.2", "scikit-learn==1.9.1")
MLFLOW_NAME = "mlflow 3.17.2 models serve, its default workers"
ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
_COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


def kserve(setting: Setting, name: str) -> Iterator[Row]:
    """V1 against KServe: rate, memory at rest, time to ready."""
    folder = model_folder(setting, name)

    def peer(ports: Ports) -> list[str]:
        return [
            peer_python(setting, KSERVE), str(PEER), name, f"--model_dir={folder}",
            "--model_name=m", f"--http_port={ports.http}", f"--grpc_port={ports.grpc}",
        ]  # fmt: skip

    ask = Ask("/v1/models/m:predict", json.dumps({"instances": ROWS}).encode(), check=_check_v1)
    short = {"xgboost": "xgb", "lightgbm": "lgb", "pmml": "pmml"}[name]
    yield from compare(setting, f"{name} V1", ours(setting, name), peer, ask, 10,
                     KSERVE_NAME.format(short))  # fmt: skip


def mlserver(setting: Setting, name: str, goal: float = 8) -> Iterator[Row]:
    """V2 against MLServer with its runtime for the format."""
    requirements = (*MLSERVER, f"mlserver-{name}==1.7.1", *MLSERVER_PINS[name])
    python = Path(peer_python(setting, requirements))
    folder = model_folder(setting, name)
    uri = folder if name == "mlflow" else next(folder.glob("model.*"))

    def peer(ports: Ports) -> list[str]:
        home = setting.cache / f"mlserver-{name}"
        home.mkdir(exist_ok=True)
        told = {"http_port": ports.http, "grpc_port": ports.grpc, "metrics_port": free_port()}
        (home / "settings.json").write_text(json.dumps({**told, "host": "127.0.0.1"}))
        model = {"name": "m", "implementation": MLSERVER_KINDS[name]}
        model |= {"parameters": {"uri": str(uri)}}
        (home / "model-settings.json").write_text(json.dumps(model))
        return [str(python.with_name("mlserver")), "start", str(home)]

    ask = Ask("/v2/models/m/infer", _v2_body(name), check=_check_v2)
    peer_is = f"mlserver 1.7.1 with mlserver-{name} 1.7.1"
    row = f"{name} V2, against mlserver"
    yield from compare(setting, row, ours(setting, name), peer, ask, goal, peer_is)


def mlflow(setting: Setting) -> Iterator[Row]:
    """`/invocations` against MLflow's own scoring server."""
    python = Path(peer_python(setting, MLFLOW))
    folder = model_folder(setting, "mlflow")

    def peer(ports: Ports) -> list[str]:
        path = f"PATH={python.parent}:{os.environ['PATH']}"  # it starts uvicorn by its name
        return [
            "env", path, str(python.with_name("mlflow")), "models", "serve",
            "--env-manager", "local",
            "--model-uri", str(folder), "--host", "127.0.0.1", "--port", str(ports.http),
        ]  # fmt: skip

    body = json.dumps({"dataframe_split": {"columns": _COLUMNS, "data": ROWS}}).encode()
    ask = Ask("/invocations", body, check=_check_v1)
    yield from compare(
        setting, "mlflow /invocations", ours(setting, "mlflow"), peer, ask, 8, MLFLOW_NAME
    )


def compare(  # noqa: PLR0913, PLR0917  # what a comparison is made of
    setting: Setting,
    name: str,
    mine: Command,
    peer: Command,
    ask: Ask,
    goal: float,
    peer_is: str,
) -> Iterator[Row]:
    """Yield the rows of ours beside a peer: rate, memory at rest, time to ready."""
    with serving(setting, ask, mine, peer) as sides:
        resting = [proportional_bytes(tree_of(side.pid)) / 1e6 for side in sides]
        count = len(tree_of(sides[1].pid))
        rounds = measure_rounds(setting, ask, sides, CONNECTIONS)
    words = {"peer_is": peer_is, "note": f"{rounds.note}; the peer is {count} processes"}
    rates = rounds.values(lambda load: load.rate)
    yield make_row(
        f"{name}, {CONNECTIONS} connections", "requests/s", *rates, Goal(ratio=goal), **words
    )
    yield make_row(
        f"{name}, memory at rest", "MB", [resting[0]], [resting[1]], Goal(ratio=1),
        peer_is=peer_is, note="PSS of all processes after one answer",
    )  # fmt: skip
    starts = setting.alternate(
        partial(seconds_to_answer, setting, ask, mine),
        partial(seconds_to_answer, setting, ask, peer),
    )
    yield make_row(
        f"{name}, time to ready", "s", *starts, Goal(ratio=1), peer_is=peer_is,
        note="from the start of the process to the first right answer; ours without the zygote",
    )  # fmt: skip


def _v2_body(name: str) -> bytes:
    """Return the rows as a matrix; to MLflow a tensor a column of the signature."""
    flat = [value for row in ROWS for value in row]
    inputs = [{"name": "input-0", "datatype": "FP64", "shape": [2, 4], "data": flat}]
    if name == "mlflow":
        inputs = [
            {"name": column, "datatype": "FP64", "shape": [2, 1], "data": list(values)}
            for column, values in zip(_COLUMNS, zip(*ROWS, strict=True), strict=True)
        ]
        return json.dumps({"parameters": {"content_type": "pd"}, "inputs": inputs}).encode()
    return json.dumps({"inputs": inputs}).encode()


def _check_v1(answer: bytes) -> None:
    _check(json.loads(answer)["predictions"], answer)


def _check_v2(answer: bytes) -> None:
    output = json.loads(answer)["outputs"][0]
    data = output["data"]
    per_row = len(data) // 2
    _check([data[i : i + per_row] if per_row > 1 else data[i] for i in (0, per_row)], answer)


def _check(predictions: list, answer: bytes) -> None:
    """Raise unless both rows are versicolor: class 1, or the highest of three probabilities."""
    for one in predictions:
        best = one.index(max(one)) if isinstance(one, list) else one
        best = one.get("Species") if isinstance(one, dict) else best
        if best not in (1, "versicolor"):
            raise RuntimeError(f"wrong prediction {answer[:200]!r}; both flowers are versicolor")

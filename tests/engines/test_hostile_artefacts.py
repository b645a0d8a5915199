"""Artefacts of every runtime that would like to run something, or to reach another file.

Each is loaded as the server loads it, untrusted: it is refused, and nothing of it has run. Rows
whose engine is not installed here run where it is (`make test-engines`).
"""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import zipfile
from pathlib import Path

import joblib
import lightgbm
import pytest
import skops.io
import yaml
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC
from tests.runtimes import onnx_models

from sampan.runtimes import RUNTIMES, get_runtime, resolve
from sampan.runtimes.serving import Order
from sampan.runtimes.torchserve.archive import MANIFEST
from sampan.server.load_failure import LoadFailure, describe_failure

X, Y = load_iris(return_X_y=True)


class Marker:
    """Unpickled, makes a file: what a hostile model would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (subprocess.check_call, (["touch", str(self.path)],))


def put(folder: Path, **changes: object) -> dict:
    """Write an MLmodel, changed; return it."""
    document = {
        "mlflow_version": "3.1.0",
        "flavors": {
            "python_function": {
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
            },
            "sklearn": {"pickled_model": "model.pkl", "sklearn_version": "1.9.1"},
        },
    }
    document["flavors"]["python_function"] |= changes
    if "model_path" in changes:
        document["flavors"]["sklearn"]["pickled_model"] = changes["model_path"]
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    return document


def hostile_pickle(folder: Path, made: Path) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps(Marker(made)))


def hostile_joblib(folder: Path, made: Path) -> None:
    joblib.dump({"estimator": Marker(made)}, folder / "model.joblib")


def hostile_skops(folder: Path, made: Path) -> None:
    """A skops file whose root is a function of the standard library."""
    skops.io.dump(SVC().fit(X, Y), folder / "good.skops")
    with (
        zipfile.ZipFile(folder / "good.skops") as good,
        zipfile.ZipFile(folder / "model.skops", "w") as archive,
    ):
        schema = json.loads(good.read("schema.json"))
        schema |= {"__class__": "check_call", "__module__": "subprocess"}
        for name in good.namelist():
            hostile = json.dumps(schema).encode()
            archive.writestr(name, hostile if name == "schema.json" else good.read(name))
    (folder / "good.skops").unlink()


def mlflow_with_a_pickle(folder: Path, made: Path) -> None:
    put(folder)
    hostile_pickle(folder, made)


def mlflow_with_a_loader_of_its_own(folder: Path, made: Path) -> None:
    put(folder, loader_module="evil", code="code")
    (folder / "code").mkdir()
    (folder / "code" / "evil.py").write_text(f"open({str(made)!r}, 'w')")


def mlflow_with_a_python_model(folder: Path, made: Path) -> None:
    put(folder, loader_module="mlflow.pyfunc.model", python_model="python_model.pkl")
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Marker(made)))


def mlflow_that_points_elsewhere(folder: Path, made: Path) -> None:
    joblib.dump(SVC().fit(X, Y), folder.parent / "secret.pkl")
    put(folder, model_path="../secret.pkl")


def mlflow_that_links_elsewhere(folder: Path, made: Path) -> None:
    joblib.dump(SVC().fit(X, Y), folder.parent / "secret.pkl")
    (folder / "model.pkl").symlink_to(folder.parent / "secret.pkl")
    put(folder)


def mlflow_with_python_in_yaml(folder: Path, made: Path) -> None:
    (folder / "MLmodel").write_text(f"!!python/object/apply:os.system ['touch {made}']")


def mlflow_with_a_private_method(folder: Path, made: Path) -> None:
    joblib.dump(RandomForestClassifier(2).fit(X, Y), folder / "model.pkl")
    put(folder, predict_fn="__reduce__")


def pmml_with_an_entity(folder: Path, made: Path) -> None:
    (folder / "model.pmml").write_text(
        '<!DOCTYPE PMML [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        '<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header copyright="&x;"/></PMML>'
    )


def pmml_in_another_encoding(folder: Path, made: Path) -> None:
    text = (
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE PMML SYSTEM "file:///etc/passwd"><PMML/>'
    )
    (folder / "model.pmml").write_bytes(text.encode("utf-16"))


def pmml_with_a_bomb_of_entities(folder: Path, made: Path) -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    (folder / "model.pmml").write_text(
        f'<!DOCTYPE PMML [<!ENTITY e0 "ha">{levels}]><PMML version="4.4"><Header '
        'copyright="&e9;"/></PMML>'
    )


def pickle_that_claims_very_much(folder: Path, made: Path) -> None:
    (folder / "model.pkl").write_bytes(b"\x80\x05\x8e" + (2**62).to_bytes(8, "little") + b"x.")


def pickle_that_unpacks_to_very_much(folder: Path, made: Path) -> None:
    head = b"\x80\x05\x8e" + (2**62).to_bytes(8, "little")
    (folder / "model.pkl").write_bytes(gzip.compress(head + bytes(2**20)))


def links_to_another_model(folder: Path, made: Path) -> None:
    joblib.dump(Marker(made), folder.parent / "secret.joblib")
    (folder / "model.joblib").symlink_to(folder.parent / "secret.joblib")


def booster_that_is_a_pickle(folder: Path, made: Path) -> None:
    (folder / "model.bst").write_bytes(pickle.dumps(Marker(made)))


def booster_that_claims_very_much(folder: Path, made: Path) -> None:
    (folder / "model.ubj").write_bytes(b"{L" + (2**62).to_bytes(8, "big") + b"learner")


def booster_of_very_many_trees(folder: Path, made: Path) -> None:
    learner = {"gradient_booster": {"model": {"gbtree_model_param": {"num_trees": "2147483647"}}}}
    (folder / "model.json").write_text(json.dumps({"learner": learner, "version": [3, 2, 0]}))


def trees_that_go_in_a_circle(folder: Path, made: Path) -> None:
    data = lightgbm.Dataset(X, (Y == 0).astype(int), params={"verbosity": -1})
    booster = lightgbm.train({"objective": "binary", "verbosity": -1}, data, num_boost_round=2)
    lines = booster.model_to_string().splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("left_child="))
    lines[place] = "left_child=0 " + " ".join(lines[place].split()[1:])
    (folder / "model.bst").write_text("\n".join(lines))


def onnx_with_weights(location: str, folder: Path) -> None:
    secret = folder.parent / "secret.bin"
    secret.write_bytes(onnx_models.WEIGHTS.tobytes())
    (folder / "link.bin").symlink_to(secret)
    onnx_models.save(onnx_models.outside(location.format(secret)), folder / "model.onnx")


def onnx_with_weights_above(folder: Path, made: Path) -> None:
    onnx_with_weights("../secret.bin", folder)


def onnx_with_weights_anywhere(folder: Path, made: Path) -> None:
    onnx_with_weights("{}", folder)


def onnx_with_weights_behind_a_link(folder: Path, made: Path) -> None:
    onnx_with_weights("link.bin", folder)


def onnx_that_is_a_pickle(folder: Path, made: Path) -> None:
    (folder / "model.onnx").write_bytes(pickle.dumps(Marker(made)))


def torch_that_is_a_pickle(folder: Path, made: Path) -> None:
    import torch

    torch.save(Marker(made), folder / "model.pt")


def torch_with_a_pickle_among_its_samples(folder: Path, made: Path) -> None:
    with zipfile.ZipFile(folder / "model.pt2", "w") as archive:
        archive.writestr("model/archive_format", "pt2")
        archive.writestr("model/data/sample_inputs/model.pt", pickle.dumps(Marker(made)))


def transformer_with_code_of_its_own(folder: Path, made: Path) -> None:
    (folder / "own.py").write_text(f"open({str(made)!r}, 'w')")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Own"}
    config = {"model_type": "own", "architectures": ["OwnForCausalLM"], "auto_map": own}
    (folder / "config.json").write_text(json.dumps(config))


def project_with_a_class_of_its_own(folder: Path, made: Path) -> None:
    (folder / "models.py").write_text(f"open({str(made)!r}, 'w')\nclass Own: pass")
    settings = {"name": "m", "implementation": "models.Own"}
    (folder / "model-settings.json").write_text(json.dumps(settings))


def project_whose_model_lies_elsewhere(folder: Path, made: Path) -> None:
    joblib.dump(SVC().fit(X, Y), folder.parent / "secret.joblib")
    settings = {
        "name": "m",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "../secret.joblib"},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))


def project_with_an_environment_elsewhere(folder: Path, made: Path) -> None:
    settings = {
        "name": "m",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "model.joblib", "environment_tarball": "../secret.tar.gz"},
    }
    joblib.dump(SVC().fit(X, Y), folder / "model.joblib")
    (folder / "model-settings.json").write_text(json.dumps(settings))


def project_whose_pickle_runs(folder: Path, made: Path) -> None:
    settings = {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel"}
    joblib.dump(Marker(made), folder / "model.joblib")
    (folder / "model-settings.json").write_text(json.dumps(settings))


def project_of_mlflow_whose_pickle_runs(folder: Path, made: Path) -> None:
    settings = {"name": "m", "implementation": "mlserver_mlflow.MLflowRuntime"}
    mlflow_with_a_pickle(folder, made)
    (folder / "model-settings.json").write_text(json.dumps(settings))


def write_pipeline(folder: Path, **extra: object) -> None:
    implementation = "mlserver_huggingface.HuggingFaceRuntime"
    parameters = {"extra": {"task": "text-classification", **extra}}
    settings = {"name": "m", "implementation": implementation, "parameters": parameters}
    (folder / "model-settings.json").write_text(json.dumps(settings))


def project_of_a_pipeline_with_code(folder: Path, made: Path) -> None:
    (folder / "own.py").write_text(f"open({str(made)!r}, 'w')")
    write_pipeline(folder, model_kwargs={"trust_remote_code": True})


def project_of_a_pipeline_elsewhere(folder: Path, made: Path) -> None:
    write_pipeline(folder, pretrained_model="../secret")


def write_archive(folder: Path, name: str, content: str) -> None:
    model = {"modelName": "m", "handler": "own.py", "modelVersion": "1.0"}
    with zipfile.ZipFile(folder / "m.mar", "w") as archive:
        archive.writestr(MANIFEST, json.dumps({"model": model}))
        archive.writestr(name, content)


def archive_with_a_handler(folder: Path, made: Path) -> None:
    write_archive(folder, "own.py", f"open({str(made)!r}, 'w')")


def archive_that_climbs_out(folder: Path, made: Path) -> None:
    write_archive(folder, f"../{made.name}", "out")


def archive_with_a_link(folder: Path, made: Path) -> None:
    link = zipfile.ZipInfo("weights.pt")
    link.external_attr = 0o120777 << 16
    write_archive(folder, "own.py", "")
    with zipfile.ZipFile(folder / "m.mar", "a") as archive:
        archive.writestr(link, "/etc/passwd")


def repository_of_python(folder: Path, made: Path) -> None:
    (folder / "m" / "1").mkdir(parents=True)
    (folder / "m" / "config.pbtxt").write_text('backend: "python"')
    (folder / "m" / "1" / "model.py").write_text(f"open({str(made)!r}, 'w')")


def repository_that_climbs_out(folder: Path, made: Path) -> None:
    (folder / "m" / "1").mkdir(parents=True)
    name = 'default_model_filename: "../../../secret.onnx"'
    (folder / "m" / "config.pbtxt").write_text(f'backend: "onnxruntime" {name}')
    onnx_models.save(onnx_models.linear(), folder.parent / "secret.onnx")


def repository_with_a_link(folder: Path, made: Path) -> None:
    (folder / "m" / "1").mkdir(parents=True)
    onnx_models.save(onnx_models.linear(), folder.parent / "secret.onnx")
    (folder / "m" / "1" / "model.onnx").symlink_to(folder.parent / "secret.onnx")


def repository_with_native_code(folder: Path, made: Path) -> None:
    (folder / "m" / "1").mkdir(parents=True)
    library = 'model_operations { op_library_filename: "/tmp/own.so" }'
    (folder / "m" / "config.pbtxt").write_text(f'backend: "onnxruntime" {library}')
    onnx_models.save(onnx_models.linear(), folder / "m" / "1" / "model.onnx")


def repository_that_warms_up_with_a_file_elsewhere(folder: Path, made: Path) -> None:
    (folder.parent / "secret.bin").write_bytes(bytes(64))
    (folder / "m" / "1").mkdir(parents=True)
    item = 'key: "x" value { data_type: TYPE_FP32 dims: 2 input_data_file: "../../secret.bin" }'
    warmup = f'model_warmup {{ name: "w" batch_size: 1 inputs {{ {item} }} }}'
    (folder / "m" / "config.pbtxt").write_text(f'backend: "onnxruntime" {warmup}')
    onnx_models.save(onnx_models.linear(), folder / "m" / "1" / "model.onnx")


def repository_with_an_ensemble_elsewhere(folder: Path, made: Path) -> None:
    (folder / "m" / "1").mkdir(parents=True)
    step = 'model_name: "../secret" model_version: -1 input_map { key: "x" value: "x" }'
    step += ' output_map { key: "y" value: "y" }'
    tensors = 'input { name: "x" data_type: TYPE_FP32 dims: 2 }'
    tensors += ' output { name: "y" data_type: TYPE_FP32 dims: 2 }'
    (folder / "m" / "config.pbtxt").write_text(
        f'platform: "ensemble" {tensors} ensemble_scheduling {{ step {{ {step} }} }}'
    )


def graph_that_calls_python(folder: Path, made: Path) -> None:
    import tensorflow as tf

    def call(text):
        return {"y": tf.numpy_function(lambda _: b"out", [text], tf.string)}

    module = tf.Module()
    module.serve = tf.function(call, [tf.TensorSpec([None], tf.string, name="x")])
    tf.saved_model.save(module, str(folder / "1"), signatures=module.serve)


def graph_that_reads_a_file(folder: Path, made: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    text = tf.TensorSpec([None], tf.string, name="x")
    module.serve = tf.function(lambda _: {"y": tf.io.read_file("/etc/passwd")}, [text])
    tf.saved_model.save(module, str(folder / "1"), signatures=module.serve)


def keras_with_a_lambda(folder: Path, made: Path) -> None:
    layer = {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "own"}}
    document = {
        "class_name": "Sequential",
        "module": "keras",
        "config": {"name": "m", "layers": [layer]},
    }
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(document))
        archive.writestr("metadata.json", "{}")


def program_that_saves_files(folder: Path, made: Path) -> None:
    operator = {"#": "1.save_combine", "I": [], "O": [], "A": []}
    program = {"regions": [{"blocks": [{"ops": [operator]}]}]}
    document = {"base_code": {"magic": "pir", "version": 1}, "program": program}
    (folder / "model.json").write_text(json.dumps(document))
    (folder / "model.pdiparams").write_bytes(b"")


def predictor_of_pickles(folder: Path, made: Path) -> None:
    (folder / "predictor.pkl").write_bytes(pickle.dumps(Marker(made)))


def bento_with_python_in_yaml(folder: Path, made: Path) -> None:
    (folder / "bento.yaml").write_text(f"!!python/object/apply:os.system ['touch {made}']")


def older_program_of_a_pickle(folder: Path, made: Path) -> None:
    (folder / "model.pdmodel").write_bytes(pickle.dumps(Marker(made)))
    (folder / "model.pdiparams").write_bytes(pickle.dumps(Marker(made)))


def program_that_calls_python(folder: Path, made: Path) -> None:
    operator = {"#": "1.py_func", "I": [], "O": [], "A": []}
    program = {"regions": [{"blocks": [{"ops": [operator]}]}]}
    document = {"base_code": {"magic": "pir", "version": 1}, "program": program}
    (folder / "model.json").write_text(json.dumps(document))
    (folder / "model.pdiparams").write_bytes(b"")


def keras_with_a_function(folder: Path, made: Path) -> None:
    call = {"class_name": "function", "module": "builtins", "config": "eval"}
    layer = {"class_name": "Dense", "module": "keras.layers", "config": {"activation": call}}
    document = {
        "class_name": "Sequential",
        "module": "keras",
        "config": {"name": "m", "layers": [layer]},
    }
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(document))
        archive.writestr("metadata.json", "{}")


def torch_weights_of_a_pickle(folder: Path, made: Path) -> None:
    import torch

    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(Marker(made), folder / "pytorch_model.bin")


def bento_with_a_service(folder: Path, made: Path) -> None:
    (folder / "service.py").write_text(f"open({str(made)!r}, 'w')")


CORPUS = [
    ("sklearn", hostile_pickle, "ModelUntrusted", "subprocess.check_call"),
    ("sklearn", hostile_joblib, "ModelUntrusted", "subprocess.check_call"),
    ("sklearn", hostile_skops, "ModelUntrusted", "subprocess.check_call"),
    ("predictive", hostile_pickle, "ModelUntrusted", "subprocess.check_call"),
    ("mlflow", mlflow_with_a_pickle, "ModelUntrusted", "subprocess.check_call"),
    ("mlflow", mlflow_with_a_loader_of_its_own, "ModelUntrusted", '"evil"'),
    ("mlflow", mlflow_with_a_python_model, "ModelUntrusted", '"mlflow.pyfunc.model"'),
    ("mlflow", mlflow_that_points_elsewhere, "ModelUntrusted", '"../secret.pkl"'),
    ("mlflow", mlflow_that_links_elsewhere, "ModelUntrusted", "outside the model folder"),
    ("mlflow", mlflow_with_python_in_yaml, "ModelCorrupt", "no YAML"),
    ("mlflow", mlflow_with_a_private_method, "ModelIncompatible", '"__reduce__"'),
    ("pmml", pmml_with_an_entity, "ModelUntrusted", "document type"),
    ("pmml", pmml_in_another_encoding, "ModelUntrusted", "UTF-8"),
    ("pmml", pmml_with_a_bomb_of_entities, "ModelUntrusted", "document type"),
    ("sklearn", pickle_that_claims_very_much, "OutOfMemory", "memory"),
    ("sklearn", pickle_that_unpacks_to_very_much, "OutOfMemory", "memory"),
    ("sklearn", links_to_another_model, "ModelUntrusted", "subprocess.check_call"),
    ("xgboost", booster_of_very_many_trees, "ModelCorrupt", "model.json"),
    ("mlserver", project_with_an_environment_elsewhere, "ModelIncompatible", "environment_tarball"),
    ("mlserver", project_whose_pickle_runs, "ModelUntrusted", "subprocess.check_call"),
    ("mlserver", project_of_mlflow_whose_pickle_runs, "ModelUntrusted", "subprocess.check_call"),
    ("mlserver", project_of_a_pipeline_with_code, "ModelUntrusted", '"trust_remote_code"'),
    ("mlserver", project_of_a_pipeline_elsewhere, "ModelUntrusted", '"../secret" leaves'),
    ("triton", repository_that_warms_up_with_a_file_elsewhere, "ModelUntrusted", '"warmup"'),
    ("triton", repository_with_an_ensemble_elsewhere, "ModelMissing", '"../secret"'),
    ("paddle", program_that_calls_python, "ModelUntrusted", '"py_func"'),
    ("paddle", older_program_of_a_pickle, "ModelCorrupt", "model.pdmodel"),
    ("tensorflow", keras_with_a_function, "ModelUntrusted", '"function"'),
    ("bentoml", bento_with_python_in_yaml, "ModelUntrusted", "Bento"),
    ("xgboost", booster_that_is_a_pickle, "ModelCorrupt", "model.bst"),
    ("xgboost", booster_that_claims_very_much, "ModelCorrupt", "model.ubj"),
    ("lightgbm", booster_that_is_a_pickle, "ModelCorrupt", "model.bst"),
    ("lightgbm", trees_that_go_in_a_circle, "ModelCorrupt", "left_child of node 0 is 0"),
    ("onnx", onnx_with_weights_above, "ModelIncompatible", "model.onnx"),
    ("onnx", onnx_with_weights_anywhere, "ModelIncompatible", "model.onnx"),
    ("onnx", onnx_with_weights_behind_a_link, "ModelIncompatible", "model.onnx"),
    ("onnx", onnx_that_is_a_pickle, "ModelCorrupt", "model.onnx"),
    ("mlserver", project_with_a_class_of_its_own, "ModelUntrusted", "models.Own"),
    ("mlserver", project_whose_model_lies_elsewhere, "ModelUntrusted", '"../secret.joblib"'),
    ("torchserve", archive_with_a_handler, "ModelUntrusted", "handler"),
    ("torchserve", archive_that_climbs_out, "ModelUntrusted", "leaves its folder"),
    ("torchserve", archive_with_a_link, "ModelUntrusted", "is a link"),
    ("triton", repository_of_python, "ModelUntrusted", "model.py"),
    ("triton", repository_that_climbs_out, "ModelUntrusted", '"../../../secret.onnx"'),
    ("triton", repository_with_a_link, "ModelUntrusted", "model.onnx"),
    ("triton", repository_with_native_code, "ModelIncompatible", "model_operations"),
    ("tensorflow", keras_with_a_lambda, "ModelUntrusted", "Lambda"),
    ("paddle", program_that_saves_files, "ModelUntrusted", '"save_combine"'),
    ("autogluon", predictor_of_pickles, "ModelUntrusted", "pickles"),
    ("bentoml", bento_with_a_service, "ModelUntrusted", "Bento"),
]
WITH_ENGINE = [
    ("pytorch", torch_that_is_a_pickle, "ModelFormat", "torch.save", "torch"),
    ("pytorch", torch_with_a_pickle_among_its_samples, "ModelUntrusted", "trust", "torch"),
    ("huggingface", transformer_with_code_of_its_own, "ModelUntrusted", "--trust", "transformers"),
    ("huggingface", torch_weights_of_a_pickle, "ModelUntrusted", "safetensors", "transformers"),
    ("tensorflow", graph_that_calls_python, "ModelUntrusted", "PyFunc", "tensorflow"),
    ("tensorflow", graph_that_reads_a_file, "ModelUntrusted", "ReadFile", "tensorflow"),
]
ELSEWHERE = {"catboost": "its files are damaged in catboost_checks.py, where CatBoost is",
             "modelmesh": "its models are those of the others"}  # fmt: skip
"""Runtimes without a row, and why."""

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of engines, in saving
]


def load(runtime: str, folder: Path) -> None:
    """Load everything that a folder holds as the runtime's server does at its start."""
    declared = get_runtime(runtime)
    if not declared.server:
        resolve(declared.model)("m", str(folder)).load()
        return
    repository = resolve(declared.server)(Order("m", folder)).repository
    for name in repository.names():
        repository.get(name).model.load()


def name_of(row: tuple) -> str:
    return f"{row[0]}: {row[1].__name__}"


@pytest.mark.parametrize(
    ("runtime", "write", "reason", "said", "engine"),
    [*((*row, "") for row in CORPUS), *WITH_ENGINE],
    ids=[name_of(row) for row in (*CORPUS, *WITH_ENGINE)],
)
def test_a_hostile_artefact_is_refused_and_nothing_of_it_runs(
    runtime, write, reason, said, engine, tmp_path
):
    if engine:
        pytest.importorskip(engine, reason=f"{engine} is not installed: make test-engines")
    folder, made = tmp_path / "model", tmp_path / "made"
    folder.mkdir()
    write(folder, made)
    beside = {path.name for path in tmp_path.iterdir()}
    with pytest.raises((LoadFailure, MemoryError)) as caught:
        load(runtime, folder)
    told = describe_failure(caught.value)  # as the server tells it
    assert (told.reason, said in told.message) == (reason, True), told
    assert not made.exists()
    assert {path.name for path in tmp_path.iterdir()} == beside


def test_every_runtime_has_a_hostile_artefact():
    held = {row[0] for row in (*CORPUS, *WITH_ENGINE)}
    assert sorted(RUNTIMES) == sorted(held | set(ELSEWHERE))

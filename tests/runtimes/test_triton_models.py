"""Triton repositories: what their configuration means, and what is said where it is wrong."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtimes import onnx_models as models
from tests.runtimes.triton_served import SIMPLE, write_simple

from sampan.protocol.errors import InferenceError, InvalidInput, ModelNotReady
from sampan.protocol.tensors import InferInput, InferRequest
from sampan.runtimes.serving import Order
from sampan.runtimes.triton.arguments import translate
from sampan.runtimes.triton.config import VersionPolicy, select_versions
from sampan.runtimes.triton.runtime import make_offer
from sampan.server.load_failure import LoadFailure


def offered(root: Path, *, trust: bool = False, **options: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in options.items()}
    return make_offer(Order("lone", root, trust, frozenset(), given))


def loaded(root: Path, name: str = "simple", **options: Any) -> Any:
    """Load everything; return one model."""
    repository = offered(root, **options).repository
    for one in repository.names():
        repository.get(one).model.load()
    return repository.get(name).model


def failure(root: Path, **options: Any) -> LoadFailure:
    with pytest.raises(LoadFailure) as caught:
        loaded(root, **options)
    return caught.value


def asked(name: str, version: str | None = None, **arrays: Any) -> InferRequest:
    tensors = []
    for one, array in arrays.items():
        kind = {"f": "FP32", "i": "INT32"}.get(array.dtype.kind, "BYTES")
        made = InferInput(one, list(array.shape), kind)
        made.set_array(array)
        tensors.append(made)
    return InferRequest(name, tensors, "1", model_version=version)


def write(root: Path, name: str, config: str, code: str = "", file: str = "model.py") -> Path:
    folder = root / name / "1"
    folder.mkdir(parents=True)
    (root / name / "config.pbtxt").write_text(config)
    if code:
        (folder / file).write_text(code)
    return folder


# -- configuration -------------------------------------------------------------------------------


def test_without_a_configuration_the_model_tells_it(tmp_path):
    model = loaded(write_simple(tmp_path, config=""))
    assert model.config.max_batch_size == 4
    assert model.config.document["dynamic_batching"] == {}
    assert model.get_input_types()[0] == {
        "name": "INPUT0",
        "datatype": "INT32",
        "shape": [-1, 16],
    }


def test_a_number_by_itself_is_told_as_a_tensor_of_one(tmp_path):
    """Triton knows no tensor without a size."""
    models.save(models.same(models.FLOAT), tmp_path / "alone" / "1" / "model.onnx")
    model = loaded(tmp_path, "alone")
    assert model.get_input_types() == [{"name": "x", "datatype": "FP32", "shape": [1]}]
    tensor = InferInput("x", [1], "FP32", [2.5])
    (output,) = model.predict(InferRequest("alone", [tensor])).outputs
    assert (output.shape, output.as_numpy().tolist()) == ([1], [2.5])


def test_a_default_batch_size_can_be_set(tmp_path):
    options = {"backend_config": "default-max-batch-size=16"}
    assert loaded(write_simple(tmp_path, config=""), **options).config.max_batch_size == 16


def test_a_lone_onnx_file_is_a_model_of_the_services_name(tmp_path):
    path = models.save(models.linear(), tmp_path / "model.onnx")
    assert loaded(path, "lone").ready
    model = loaded(tmp_path, "lone")
    answer = model.predict({"instances": [[1.0, 2.0, 3.0, 4.0]]})
    assert answer["predictions"].shape == (1, 3)


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        pytest.param(VersionPolicy(), [7], id="the latest is the usual"),
        pytest.param(VersionPolicy(2), [3, 7], id="the latest two"),
        pytest.param(VersionPolicy(0), [1, 3, 7], id="all"),
        pytest.param(VersionPolicy(0, (1, 9)), [1], id="specific ones, where they are"),
    ],
)
def test_version_policy(policy, chosen):
    assert select_versions([3, 1, 7], policy) == chosen


def test_batches_are_gathered_as_configured(tmp_path):
    batching = "dynamic_batching { preferred_batch_size: [4, 99] max_queue_delay_microseconds: 50 }"
    limits = loaded(write_simple(tmp_path, config=SIMPLE + batching)).batch_limits
    assert (limits.max_size, limits.max_latency, limits.preferred) == (8, 50e-6, (4,))
    without = loaded(write_simple(tmp_path, config=SIMPLE))
    assert without.row_wise is False


def test_what_is_not_honoured_is_named(tmp_path, caplog):
    extra = "optimization { priority: PRIORITY_MAX } dynamic_batching { priority_levels: 2 }"
    extra += "instance_group { kind: KIND_GPU }"
    with caplog.at_level(logging.WARNING):
        loaded(write_simple(tmp_path, config=SIMPLE + extra))
    said = "\n".join(caplog.messages)
    assert "optimization is not honoured" in said
    assert "dynamic_batching.priority_levels is not honoured" in said
    assert "instance_group[0].kind is KIND_GPU: whatever device the engine finds is used" in said


def test_reshape_hides_a_size_from_clients(tmp_path):
    folder = tmp_path / "flat"
    models.save(models.same(models.FLOAT, "N"), folder / "1" / "model.onnx")
    (folder / "config.pbtxt").write_text(
        'backend: "onnxruntime" max_batch_size: 4 '
        'input { name: "x" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } } '
        'output { name: "y" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }'
    )
    array = np.array([[1.0], [2.0]], np.float32)
    output = loaded(tmp_path, "flat").predict(asked("flat", x=array)).outputs[0]
    assert (output.shape, output.as_numpy().tolist()) == ([2, 1], [[1.0], [2.0]])


WRONG = [
    ('name: "other"', 'name is "other", and the folder is "simple"'),
    ('platform: "caffe2_netdef"', 'platform is "caffe2_netdef"; use one of onnxruntime_onnx'),
    ("max_batch_size: -1", "max_batch_size is -1"),
    ("sequence_batching { oldest { } }", "oldest.max_candidate_sequences is 0; give one or more"),
    (
        'model_warmup { name: "w" inputs { key: "INPUT0" value { dims: 1 } } }',
        '"INPUT0" of model_warmup "w" has data_type TYPE_INVALID',
    ),
    (
        "model_transaction_policy { decoupled: true }",
        'a decoupled model of the backend "onnxruntime" is not served',
    ),
    ('model_operations { op_library_filename: "a.so" }', "loads native code"),
    ("version_policy { specific { versions: 9 } }", "has no version to serve (found: 1)"),
    ("version_policy { specific { } }", "names no versions"),
    ('backend: "tensorrt"', 'has no "1/model.plan"'),
    ('backend: "openvino" default_model_filename: "model.onnx"', 'wants the backend "openvino"'),
    ('input { name: "z" data_type: TYPE_FP32 dims: 1 }', 'input "z" is not in the model'),
    ('input { name: "INPUT0" data_type: TYPE_FP32 dims: 16 }', "FP32, and the model INT32"),
    ('input { name: "INPUT0" data_type: TYPE_INT32 dims: [4, 4] }', "give dims that agree"),
    ('input { name: "INPUT0" data_type: TYPE_INT32 }', "has dims []"),
    ("input { data_type: TYPE_INT32 dims: 1 }", "an input has no name"),
    ("instance_group { count: 0 }", "instance_group has count 0"),
    ("max_batch_sice: 3", 'line 1: "max_batch_sice" is no field'),
]


@pytest.mark.parametrize(("config", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_wrong_configuration_names_field_value_and_mend(tmp_path, config, words):
    told = failure(write_simple(tmp_path, config=config))
    assert words in told.message
    assert told.reason in {"ModelIncompatible", "ModelMissing", "RuntimeUnavailable"}


@pytest.mark.parametrize(
    "name", ["../../secret.onnx", "/etc/passwd", "a/../../b", "..", "a\\\\..\\\\b"]
)
def test_a_file_name_never_leaves_the_models_folder(tmp_path, name):
    write_simple(tmp_path, config=f'backend: "onnxruntime" default_model_filename: "{name}"')
    models.save(models.add_sub(models.INT32), tmp_path.parent / "secret.onnx")
    assert failure(tmp_path).reason == "ModelUntrusted"


def test_a_link_never_leaves_the_models_folder(tmp_path):
    root = tmp_path / "repository"
    models.save(models.add_sub(models.INT32), tmp_path / "secret.onnx")
    (root / "simple" / "1").mkdir(parents=True)
    (root / "simple" / "1" / "model.onnx").symlink_to(tmp_path / "secret.onnx")
    assert failure(root).reason == "ModelUntrusted"
    (root / "out").symlink_to(tmp_path)
    assert "out" not in offered(root).repository.names()


def test_labels_never_leave_the_models_folder(tmp_path):
    outside = '{ name: "OUTPUT0" data_type: TYPE_INT32 dims: 16 label_filename: "../../x" }'
    assert failure(write_simple(tmp_path, config=f"output {outside}")).reason == "ModelUntrusted"


def test_an_empty_repository_says_what_belongs_in_it(tmp_path):
    with pytest.raises(LoadFailure, match="holds no model; a model is a folder"):
        offered(tmp_path)


def test_a_strict_server_wants_a_configuration(tmp_path):
    told = failure(write_simple(tmp_path, config=""), strict_model_config="true")
    assert "has no config.pbtxt" in told.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model_control_mode": "all"}, '--model-control-mode is "all", which is not served'),
        ({"load_model": "simple"}, "needs --model-control-mode=explicit"),
    ],
)
def test_a_wrong_option_is_told(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        offered(write_simple(tmp_path), **options)


# -- python models -------------------------------------------------------------------------------

PYTHON = """
backend: "python" max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: 2 }
output { name: "y" data_type: TYPE_FP32 dims: 2 }
"""

DOUBLE = """
import json
import triton_python_backend_utils as pb_utils
from beside import FACTOR

class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        output = pb_utils.get_output_config_by_name(config, "y")
        self.dtype = pb_utils.triton_string_to_numpy(output["data_type"])

    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            if (x < 0).any():
                error = pb_utils.TritonError("negative numbers are not doubled")
                responses.append(pb_utils.InferenceResponse(output_tensors=[], error=error))
                continue
            y = pb_utils.Tensor("y", (x * FACTOR).astype(self.dtype))
            responses.append(pb_utils.InferenceResponse(output_tensors=[y]))
        return responses

    def finalize(self):
        print("finalized")
"""


def doubling(root: Path, name: str = "double", factor: int = 2) -> Path:
    folder = write(root, name, PYTHON, DOUBLE)
    (folder / "beside.py").write_text(f"FACTOR = {factor}")
    return root


X = np.array([[1.0, 2.0]], np.float32)


def test_a_python_model_runs_where_it_is_trusted(tmp_path, capsys):
    model = loaded(doubling(tmp_path), "double", trust=True)
    assert model.predict(asked("double", x=X)).outputs[0].as_numpy().tolist() == [[2.0, 4.0]]
    model.stop()
    assert "finalized" in capsys.readouterr().out


def test_two_models_with_files_of_one_name_beside_them(tmp_path):
    doubling(tmp_path)
    doubling(tmp_path, "triple", 3)
    model = loaded(tmp_path, "triple", trust=True)
    assert model.predict(asked("triple", x=X)).outputs[0].as_numpy().tolist() == [[3.0, 6.0]]


def test_untrusted_python_is_not_even_imported(tmp_path):
    mark = tmp_path / "ran"
    write(tmp_path / "repository", "evil", PYTHON, f"open({str(mark)!r}, 'w')")
    told = failure(tmp_path / "repository")
    assert told.reason == "ModelUntrusted"
    assert "serving.sampan.dev/trust" in told.message
    assert not mark.exists()


def test_an_error_that_the_model_answers_with_is_its_text(tmp_path):
    model = loaded(doubling(tmp_path), "double", trust=True)
    with pytest.raises(InferenceError, match="negative numbers are not doubled"):
        model.predict(asked("double", x=-X))


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("x = 1", "ModelFormat", 'no class "TritonPythonModel"'),
        ("import nothing_of_that_name", "ModelLoadFailed", "model.py:1: ModuleNotFoundError"),
        (
            "class TritonPythonModel:\n def initialize(self, a):\n  1 / 0\n execute = print",
            "ModelLoadFailed",
            'model.py:3: ZeroDivisionError: division by zero (in "initialize")',
        ),
    ],
)
def test_a_python_model_that_does_not_load(tmp_path, code, reason, words):
    write(tmp_path, "m", PYTHON, code)
    told = failure(tmp_path, trust=True)
    assert (told.reason, words in told.message) == (reason, True), told.message


# -- ensembles -----------------------------------------------------------------------------------

ENSEMBLE = """
max_batch_size: 4
input {{ name: "in" data_type: TYPE_FP32 dims: 2 }}
output {{ name: "out" data_type: TYPE_FP32 dims: 2 }}
ensemble_scheduling {{ step [
  {{ model_name: "{second}" model_version: -1
     input_map {{ key: "x" value: "between" }} output_map {{ key: "y" value: "out" }} }},
  {{ model_name: "double" input_map {{ key: "x" value: "{fed}" }}
     output_map {{ key: "y" value: "{made}" }} }}
] }}
"""


def chain(root: Path, second: str = "triple", fed: str = "in", made: str = "between") -> Path:
    doubling(root)
    doubling(root, "triple", 3)
    write(root, "chain", ENSEMBLE.format(second=second, fed=fed, made=made))
    return root


def test_an_ensemble_hands_tensors_on_in_the_order_of_their_need(tmp_path):
    root = chain(tmp_path)
    model = loaded(root, "chain", trust=True)
    assert model.predict(asked("chain", **{"in": X})).outputs[0].as_numpy().tolist() == [
        [6.0, 12.0]
    ]
    assert model.platform == "ensemble"


@pytest.mark.parametrize(
    ("fed", "made", "words"),
    [
        ("out", "between", "waits for itself"),
        ("nowhere", "between", "is made by no step"),
        ("in", "out", 'tensor "out" is made twice'),
    ],
)
def test_an_ensemble_whose_maps_do_not_meet(tmp_path, fed, made, words):
    assert words in failure(chain(tmp_path, fed=fed, made=made), trust=True).message


def test_an_ensemble_of_a_model_that_is_not_there(tmp_path):
    told = failure(chain(tmp_path, second="absent"), trust=True)
    assert told.reason == "ModelMissing"
    assert 'a step asks model "absent", which is not in the repository' in told.message


def test_a_step_that_is_not_ready_is_told(tmp_path):
    repository = offered(chain(tmp_path), trust=True).repository
    repository.get("chain").model.load()
    with pytest.raises(ModelNotReady, match="double"):
        repository.get("chain").model.predict(asked("chain", **{"in": X}))


def test_rows_of_inputs_must_be_as_many(tmp_path):
    model = loaded(write_simple(tmp_path))
    one, two = np.ones((1, 16), np.int32), np.ones((2, 16), np.int32)
    with pytest.raises(InvalidInput, match='"INPUT1" has 2 rows and "INPUT0" 1'):
        model.predict(asked("simple", INPUT0=one, INPUT1=two))


# -- arguments -----------------------------------------------------------------------------------


def test_tritons_arguments_become_ours():
    told = translate(
        [
            "--runtime=triton",
            "--trust",
            "tritonserver",
            "--model-store=/mnt/models",
            "--http-port",
            "8080",
            "--grpc-port=9000",
            "--allow-grpc=true",
            "--allow-http=true",
            "--log-verbose=1",
            "--model-control-mode=explicit",
            "--load-model=a",
            "--odd-one=1",
        ]
    )
    assert told.argv == (
        "--runtime=triton",
        "--trust",
        "--model_dir=/mnt/models",
        "--http_port=8080",
        "--grpc_port=9000",
        "--enable_grpc=true",
        "--server_option=model-control-mode=explicit",
        "--server_option=load-model=a",
        "--odd-one=1",
    )
    assert told.warnings == (
        'argument "--log-verbose" is not honoured: KSERVE_LOGLEVEL sets the level',
    )

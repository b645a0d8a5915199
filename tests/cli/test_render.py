"""`sampan render`: objects from files alone, every mistake with its line, no daemon asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: iris
  annotations:
    serving.kserve.io/deploymentMode: Standard
spec:
  predictor:
    model:
      modelFormat:
        name: sklearn
      storageUri: gs://bucket/model
"""
MISTAKES = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: Iris
spec:
  predictor:
    minReplcas: 2
    model:
      modelFormat:
        name: sklearn
---
apiVersion: v1
kind: Podd
metadata:
  name: p
"""
OBJECTS = {
    "": ["Deployment", "HorizontalPodAutoscaler", "Ingress", "Service"],
    "Standard": ["Deployment", "HorizontalPodAutoscaler", "Ingress", "Service"],
    "Knative": ["Service", "Service", "VirtualService"],
}


@pytest.fixture
def written(tmp_path: Path, nowhere: Path) -> Callable[[str], str]:
    """Write a file and return its path; there is no daemon to ask."""

    def write(text: str, name: str = "isvc.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("mode", OBJECTS)
def test_the_mode_that_is_asked_for_stands_before_the_service_s(
    cli: Any, written: Any, mode: str
) -> None:
    done = cli("render", "-f", written(SERVICE), *(("--mode", mode) if mode else ()))
    assert (done.code, done.err) == (0, "")
    assert [o["kind"] for o in yaml.safe_load_all(done.out)] == OBJECTS[mode]


def test_json_is_one_list(cli: Any, written: Any) -> None:
    done = cli("render", "-f", written(SERVICE), "-o", "json")
    assert [o["kind"] for o in json.loads(done.out)["items"]] == OBJECTS["Standard"]


def test_yaml_repeats_a_value_rather_than_pointing_to_it(cli: Any, written: Any) -> None:
    done = cli("render", "-f", written(SERVICE))
    assert "&id" not in done.out
    assert "*id" not in done.out


def test_in_modelmesh_mode_there_is_nothing_and_it_is_said_why(cli: Any, written: Any) -> None:
    done = cli("render", "-f", written(SERVICE), "--mode", "ModelMesh")
    assert (done.code, done.out) == (0, "")
    assert "ModelMesh's own controller" in done.err


def test_a_kind_of_another_version_is_told_the_version_that_is_served(
    cli: Any, written: Any
) -> None:
    done = cli("render", "-f", written(SERVICE.replace("v1beta1", "v1alpha2")))
    assert done.code == 1
    told = 'unknown kind "InferenceService" of "serving.kserve.io/v1alpha2"; did you mean '
    assert f"{told}InferenceService (serving.kserve.io/v1beta1)?" in done.err


def test_files_of_which_nothing_is_rendered_are_not_passed_over_in_silence(
    cli: Any, written: Any
) -> None:
    path = written("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: colours}\n")
    done = cli("render", "-f", path)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("nothing to render: no other object stands for ConfigMap; name")


def test_every_mistake_of_every_object_is_told_with_its_line(cli: Any, written: Any) -> None:
    path = written(MISTAKES)
    done = cli("render", "-f", path)
    assert (done.code, done.out) == (1, "")
    first, second, third = done.lines
    assert first.startswith(f'{path}:7: InferenceService "Iris": unknown field')
    assert 'did you mean "minReplicas"' in first
    assert second.startswith(f'{path}:4: InferenceService "Iris": metadata.name')
    assert third.startswith(f'{path}:12: Podd "p": unknown kind "Podd" of "v1"')


def test_a_decision_that_cannot_be_taken_is_told_in_the_words_of_the_condition(
    cli: Any, written: Any
) -> None:
    done = cli("render", "-f", written(SERVICE.replace("sklearn", "sklern")))
    assert done.code == 1
    assert "NoSupportingRuntime: No runtime found to support" in done.err
    assert '"sklearn"' in done.err


def test_a_runtime_and_the_configuration_among_the_files_are_used(cli: Any, written: Any) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config", "namespace": "kserve"},
        "data": {"deploy": '{"defaultDeploymentMode": "Knative"}'},
    }
    runtime = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "mine"},
        "spec": {
            "supportedModelFormats": [{"name": "mine", "autoSelect": True}],
            "protocolVersions": ["v1"],
            "containers": [{"name": "kserve-container", "image": "example.com/mine:1"}],
        },
    }
    service = yaml.safe_load(SERVICE.replace("sklearn", "mine"))
    del service["metadata"]["annotations"]
    path = written(yaml.safe_dump_all([config, runtime, service]))
    done = cli("render", "-f", path)
    assert done.err == ""
    objects = list(yaml.safe_load_all(done.out))
    assert [o["kind"] for o in objects] == OBJECTS["Knative"]
    (container,) = objects[1]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "example.com/mine:1"


GRAPH = """\
---
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata: {name: both}
spec:
  nodes:
    root:
      routerType: Sequence
      steps: [{serviceName: iris}, {serviceName: other}]
"""


def test_a_graph_asks_the_services_of_the_files_and_is_told_of_others(
    cli: Any, written: Any
) -> None:
    done = cli("render", "-f", written(SERVICE + GRAPH))
    assert done.code == 0
    assert 'InferenceService "other" is not among the files' in done.err
    assert "iris" not in done.err
    objects = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.out)}
    (container,) = objects["Deployment", "both"]["spec"]["template"]["spec"]["containers"]
    url = "http://iris-predictor.default.svc.cluster.local/v1/models/iris:predict"
    assert url in container["args"][1]


def test_a_model_that_cannot_be_brought_is_told(cli: Any, written: Any) -> None:
    text = SERVICE.replace(
        "      storageUri: gs://bucket/model\n",
        "    storageUris:\n"
        "    - {uri: 'oci://a/b', mountPath: /mnt/a}\n"
        "    - {uri: 's3://b', mountPath: /mnt/b}\n",
    )
    done = cli("render", "-f", written(text))
    assert done.code == 1
    assert 'OCI is not enabled, and the model is "oci://a/b"; set storageInitializer' in done.err


CONFIG = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: inferenceservice-config, namespace: kserve}
data:
  ingress: '{"enableGatewayApi": true, "ingressGateway": "a/b", "kserveIngressGateway": "c/d"}'
  autoscaler: '{"scaleUpStabilizationWindowSeconds": "5"}'
"""


def test_settings_that_a_laptop_does_not_honour_are_a_cluster_s(cli: Any, written: Any) -> None:
    done = cli("render", "-f", written(SERVICE + CONFIG))
    assert done.err == ""
    assert [o["kind"] for o in yaml.safe_load_all(done.out)].count("HTTPRoute") == 2


def test_a_field_that_no_object_shows_is_named_with_its_line(cli: Any, written: Any) -> None:
    text = SERVICE.replace("    model:\n", "    batcher: {timeout: 5}\n    model:\n", 1)
    done = cli("render", "-f", written(text))
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert "spec.predictor.batcher.timeout: is read by nothing" in line


@pytest.mark.parametrize("data", ["[]", "{deploy: []}", "{deploy: null}", "a"])
def test_a_configuration_that_is_no_text_is_told(cli: Any, written: Any, data: str) -> None:
    config = CONFIG.partition("\ndata:")[0] + f"\ndata: {data}\n"
    done = cli("render", "-f", written(SERVICE + config))
    assert done.code == (0 if data == "{deploy: null}" else 1)
    assert done.code == 0 or "data" in done.err


@pytest.mark.parametrize("metadata", ["[a]", "a", "{name: [a]}", "null"])
def test_metadata_of_a_wrong_shape_is_told(cli: Any, written: Any, metadata: str) -> None:
    text = SERVICE.partition("metadata:")[0] + f"metadata: {metadata}\nspec: {{}}\n"
    done = cli("render", "-f", written(text))
    assert done.code == 1
    assert done.err.startswith("error: ")


def test_with_a_broken_configuration_nothing_is_made(cli: Any, written: Any) -> None:
    text = CONFIG.replace('{"enableGatewayApi"', "{enableGatewayApi").replace('"5"', '"soon"')
    done = cli("render", "-f", written(SERVICE + text))
    assert (done.code, done.out) == (1, "")
    assert "data.ingress: not JSON" in done.err
    assert 'data.autoscaler.scaleUpStabilizationWindowSeconds: "soon"' in done.err


def test_a_storage_container_among_the_files_brings_its_scheme(cli: Any, written: Any) -> None:
    container = """\
---
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterStorageContainer
metadata: {name: mine}
spec:
  container: {name: storage-initializer, image: example.com/mine}
  supportedUriFormats: [{prefix: mine://}]
"""
    service = SERVICE.replace("gs://bucket/model", "mine://bucket/model")
    assert "StorageURI not supported" in cli("render", "-f", written(service)).err
    assert cli("render", "-f", written(service + container)).code == 0

"""Which objects an object names: what an export or a look for missing parts has to find."""

from typing import Any

import pytest

from sampan.api.named_objects import Named, named_objects

Json = dict[str, Any]


def service(spec: Json, **status: Any) -> Json:
    return {"kind": "InferenceService", "spec": {"predictor": spec}, "status": status}


def env(**source: Any) -> Json:
    return {"model": {"env": [{"name": "A", "valueFrom": source}]}}


@pytest.mark.parametrize(
    ("obj", "named"),
    [
        pytest.param(
            service(env(secretKeyRef={"name": "s", "key": "k"})), [("Secret", "s")],
            id="a variable of a Secret",
        ),
        pytest.param(
            service(env(configMapKeyRef={"name": "c", "key": "k"})), [("ConfigMap", "c")],
            id="a variable of a ConfigMap",
        ),
        pytest.param(
            service({"volumes": [{"secret": {"secretName": "s"}}, {"configMap": {"name": "c"}},
                                 {"persistentVolumeClaim": {"claimName": "p"}}]}),
            [("ConfigMap", "c"), ("PersistentVolumeClaim", "p"), ("Secret", "s")],
            id="volumes",
        ),
        pytest.param(
            service({"serviceAccountName": "a", "imagePullSecrets": [{"name": "s"}],
                     "storageContainerName": "f"}),
            [("ClusterStorageContainer", "f"), ("Secret", "s"), ("ServiceAccount", "a")],
            id="an account, a registry's Secret and a storage container",
        ),
        pytest.param(
            service({"model": {"storageUri": "pvc://claim/model"}}),
            [("PersistentVolumeClaim", "claim")], id="a model on a claim",
        ),
        pytest.param(
            service({"storageUris": [{"uri": "pvc://a/x"}, {"uri": "s3://b"}, {}]}),
            [("PersistentVolumeClaim", "a")], id="several models",
        ),
        pytest.param(
            service({"model": {"storage": {"key": "minio"}}}), [("Secret", "storage-config")],
            id="an entry of the storage Secret",
        ),
        pytest.param(
            service({"model": {}}, servingRuntimeName="mine", clusterServingRuntimeName="theirs"),
            [("ServingRuntime", "mine")], id="the runtime of its namespace that was selected",
        ),
        pytest.param(
            service({"model": {}}, clusterServingRuntimeName="theirs"),
            [("ClusterServingRuntime", "theirs")], id="the runtime of the cluster",
        ),
        pytest.param(
            {"kind": "InferenceGraph", "spec": {"nodes": {"root": {"steps": [
                {"serviceName": "b"}, {"serviceName": "a"}, {"serviceName": "a"}, {}]}}}},
            [("InferenceService", "a"), ("InferenceService", "b")],
            id="the services of a graph, each once",
        ),
        pytest.param(
            {"kind": "TrainedModel", "spec": {"inferenceService": "parent", "model": None}},
            [("InferenceService", "parent")], id="the service of a trained model",
        ),
        pytest.param(
            {"kind": "ServiceAccount", "secrets": [{"name": "s"}, {}],
             "imagePullSecrets": [{"name": "r"}]},
            [("Secret", "r"), ("Secret", "s")], id="the Secrets of an account",
        ),
        pytest.param({"kind": "ServiceAccount"}, [], id="an account of nothing"),
    ],
)  # fmt: skip
def test_an_object_names(obj: Json, named: list[tuple[str, str]]) -> None:
    assert named_objects(obj) == [Named(*pair) for pair in named]

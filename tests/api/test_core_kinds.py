"""The core kinds: what is filled in, and what is refused."""

from typing import Any

import pytest

from sampan.api.data_keys import MAX_BYTES


def core(kind: str, **fields: Any) -> dict[str, Any]:
    metadata = {"name": "x"} if kind == "Namespace" else {"name": "x", "namespace": "default"}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def test_a_secret_gets_a_type_and_its_texts_as_data(admit: Any) -> None:
    secret = core("Secret", data={"a": "YQ==", "b": "YQ=="}, stringData={"b": "sampan"})
    assert admit(secret).obj == core("Secret", type="Opaque", data={"a": "YQ==", "b": "c2FtcGFu"})


def test_a_namespace_is_labelled_with_its_name_and_active(admit: Any) -> None:
    made = admit(core("Namespace")).obj
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    assert made["status"] == {"phase": "Active"}


@pytest.mark.parametrize("kind", ["ConfigMap", "ServiceAccount"])
def test_other_kinds_stay_as_they_are(admit: Any, kind: str) -> None:
    assert admit(core(kind)).obj == core(kind)


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        (core("ConfigMap", data={"a": 1}), "data.a"),
        (core("ConfigMap", data={"a/b": "x"}), "data[a/b]"),
        (core("ConfigMap", data={"..": "x"}), "data[..]"),
        (core("ConfigMap", data={"a": "x"}, binaryData={"a": "YQ=="}), "binaryData[a]"),
        (core("ConfigMap", binaryData={"a": "?"}), "binaryData[a]"),
        (core("ConfigMap", data={"a": "x" * (MAX_BYTES + 1)}), ""),
        (core("Secret", data={"a": "plain text"}), "data[a]"),
        (core("Secret", data={"a": "YQ="}), "data[a]"),
        (core("Secret", stringData={"a": ["x"]}), "stringData.a"),
        (core("Event"), "involvedObject"),
        (core("Event", involvedObject={"namespace": "other"}), "involvedObject.namespace"),
        (core("Namespace", spec={"finalizers": "x"}), "spec.finalizers"),
        (core("ServiceAccount", secrets=[{"name": 1}]), "secrets[0].name"),
    ],
)
def test_a_mistake_is_refused_with_its_place(admit: Any, obj: Any, path: str) -> None:
    assert [error.path for error in admit(obj).errors] == [path]


def test_a_refused_secret_is_not_shown(admit: Any) -> None:
    (error,) = admit(core("Secret", data={"a": "hunter2!"})).errors
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_an_immutable_object_stays(admit: Any, kind: str) -> None:
    old = admit(core(kind, data={"a": "YQ=="}, immutable=True)).obj
    changed = admit(core(kind, data={"a": "Yg=="}), old)
    assert [error.path for error in changed.errors] == ["immutable", "data"]
    assert admit(old, old).errors == ()


def test_a_secret_keeps_its_type(admit: Any) -> None:
    old = admit(core("Secret")).obj
    assert [e.path for e in admit(core("Secret", type="other"), old).errors] == ["type"]


def test_a_broken_configuration_is_refused_when_it_is_made(admit: Any) -> None:
    config = core("ConfigMap", data={"deploy": '{"defaultDeploymentMode": "Cloud"}', "agent": "{}"})
    config["metadata"]["name"] = "inferenceservice-config"
    assert [e.path for e in admit(config).errors] == ["data.deploy.defaultDeploymentMode"]


def test_settings_without_effect_are_warned_of_when_they_are_made(admit: Any) -> None:
    config = core("ConfigMap", data={"router": '{"image": "r"}'})
    config["metadata"]["name"] = "inferenceservice-config"
    assert admit(config).warnings == (
        'inferenceservice-config: "router" is not honoured here in image',
    )

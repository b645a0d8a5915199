"""What an InferenceService gets where it says nothing."""

from typing import Any

import pytest

MODE = "serving.kserve.io/deploymentMode"


def config(**keys: str) -> dict[str, str]:
    shipped = {
        "deploy": '{"defaultDeploymentMode": "Standard"}',
        "security": '{"autoMountServiceAccountToken": true}',
    }
    return {**shipped, **keys}


@pytest.mark.parametrize(("old", "new"), [("RawDeployment", "Standard"), ("Serverless", "Knative")])
def test_old_words_for_a_mode_are_replaced(admit: Any, service: Any, old: str, new: str) -> None:
    assert admit(service(mode=old)).obj["metadata"]["annotations"][MODE] == new


@pytest.mark.parametrize(
    ("default", "written"),
    [("Standard", "Standard"), ("RawDeployment", "Standard"), ("Knative", None)],
)
def test_the_operators_mode_is_written_unless_it_is_knative(
    admit: Any, service: Any, default: str, written: str | None
) -> None:
    obj = service()
    del obj["metadata"]["annotations"]
    deploy = f'{{"defaultDeploymentMode": "{default}"}}'
    annotations = admit(obj, None, config(deploy=deploy)).obj["metadata"]["annotations"]
    assert annotations.get(MODE) == written


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("sklearn", None),
        ("tensorflow", None),
        ("xgboost", None),
        ("pytorch", None),
        ("triton", "v2"),
        ("onnx", "v2"),
        ("huggingface", "v2"),
        ("pmml", None),
        ("lightgbm", None),
        ("paddle", None),
    ],
)
def test_a_short_form_becomes_a_model(
    admit: Any, service: Any, name: str, protocol: str | None
) -> None:
    obj = admit(service({name: {"storageUri": "s3://m", "args": ["--x"]}})).obj
    model = obj["spec"]["predictor"]["model"]
    assert name not in obj["spec"]["predictor"]
    assert model["modelFormat"] == {"name": name}
    assert (model["storageUri"], model["args"]) == ("s3://m", ["--x"])
    assert model.get("protocolVersion") == protocol
    assert obj["metadata"]["annotations"]["modelFormat"] == name


def test_a_short_form_stays_in_modelmesh_mode(admit: Any, service: Any) -> None:
    predictor = admit(service({"sklearn": {}}, "ModelMesh")).obj["spec"]["predictor"]
    assert predictor == {"sklearn": {"name": "", "resources": {}}}


def test_a_model_beside_a_short_form_is_replaced_as_upstream_does(admit: Any, service: Any) -> None:
    predictor = {"sklearn": {"storageUri": "s3://new"}, "model": {"modelFormat": {"name": "onnx"}}}
    model = admit(service(predictor)).obj["spec"]["predictor"]["model"]
    assert (model["modelFormat"]["name"], model["storageUri"]) == ("sklearn", "s3://new")


def test_only_what_a_containers_resources_lack_is_filled_in(admit: Any, service: Any) -> None:
    container = {"name": "mine", "resources": {"limits": {"cpu": 2, "vendor.com/gpu": 1}}}
    predictor = admit(service({"containers": [container]})).obj["spec"]["predictor"]
    assert predictor["containers"] == [
        {
            "name": "kserve-container",
            "resources": {
                "limits": {"cpu": "2", "memory": "2Gi", "vendor.com/gpu": "1"},
                "requests": {"cpu": "1", "memory": "2Gi"},
            },
        }
    ]


def test_the_first_of_several_predictor_containers_keeps_its_name(admit: Any, service: Any) -> None:
    containers = [{"name": "mine"}, {"name": "kserve-container"}]
    predictor = admit(service({"containers": containers})).obj["spec"]["predictor"]
    assert [c["name"] for c in predictor["containers"]] == ["mine", "kserve-container"]


def test_the_first_container_of_a_transformer_is_always_the_main_one(
    admit: Any, service: Any
) -> None:
    transformer = {"containers": [{"name": "mine"}, {"name": "other"}]}
    obj = admit(service(transformer=transformer)).obj
    names = [c["name"] for c in obj["spec"]["transformer"]["containers"]]
    assert names == ["kserve-container", "other"]


def test_an_art_explainer_gets_name_version_and_resources(admit: Any, service: Any) -> None:
    explainers = '{"art": {"image": "art", "defaultImageVersion": "1.2"}}'
    explainer = {"art": {"type": "SquareAttack"}}
    obj = admit(service(explainer=explainer), None, config(explainers=explainers)).obj
    assert obj["spec"]["explainer"]["art"]["name"] == "kserve-container"
    assert obj["spec"]["explainer"]["art"]["runtimeVersion"] == "1.2"


def test_tokens_are_withheld_where_the_configuration_does_not_allow_them(
    admit: Any, service: Any
) -> None:
    obj = service(transformer={"containers": [{}], "automountServiceAccountToken": True})
    spec = admit(obj, None, {"deploy": '{"defaultDeploymentMode": "Standard"}'}).obj["spec"]
    assert spec["predictor"]["automountServiceAccountToken"] is False
    assert spec["transformer"]["automountServiceAccountToken"] is True


def test_a_broken_configuration_is_warned_of_and_its_default_taken(
    admit: Any, service: Any
) -> None:
    admitted = admit(service(), None, config(deploy="{"))
    assert admitted.denied == ""
    assert admitted.warnings[0].startswith("inferenceservice-config: data.deploy: not JSON")


@pytest.mark.parametrize(
    ("damage", "path"),
    [
        ({"spec": None}, "spec"),
        ({"spec": {}}, "spec.predictor"),
        ({"spec": []}, "spec"),
    ],
)
def test_a_service_that_says_nothing_is_refused_not_crashed_upon(
    admit: Any, service: Any, damage: Any, path: str
) -> None:
    assert [error.path for error in admit({**service(), **damage}).errors] == [path]

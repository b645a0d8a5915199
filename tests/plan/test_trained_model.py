"""What becomes of a TrainedModel, by its service; and the recorded stories of KServe, replayed."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from sampan.plan.trained_model import (
    ALLOCATED_LABEL,
    PARENT_LABEL,
    Judgement,
    derive_judgement,
    derive_model_list,
    derive_orphan,
    judge_together,
    merge_labels,
)

Json = dict[str, Any]
NOW = 1_800_000_000.0
MODELS_JSON = "models.json"


def trained(name: str = "one", memory: str = "1Gi", share: bool = False, **status: Any) -> Json:
    labels = {ALLOCATED_LABEL: "m"} if share else {}
    source = {"storageUri": "s3://b/m", "framework": "sklearn", "memory": memory}
    return {
        "metadata": {"name": name, "namespace": "golden", "labels": labels},
        "spec": {"inferenceService": "m", "model": source},
        "status": status,
    }


def parent(predictor: Json | None = None, ready: str = "True", limit: str = "2Gi") -> Json:
    several = {"model": {"modelFormat": {"name": "sklearn"},
                         "resources": {"limits": {"memory": limit}}}}  # fmt: skip
    return {
        "metadata": {"name": "m", "namespace": "golden"},
        "spec": {"predictor": several if predictor is None else predictor},
        "status": {
            "url": "http://m",
            "address": {"url": "http://local/m"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def conditions(status: Json) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c.get("reason", "")) for c in status["conditions"]}


def container(**env: str) -> Json:
    variables = [{"name": name, "value": value} for name, value in env.items()]
    limits = {"limits": {"memory": "2Gi"}}
    return {"containers": [{"name": "kserve-container", "env": variables, "resources": limits}]}


class TestConditions:
    def test_a_model_that_fits_a_ready_service_of_several_models_is_ready(self) -> None:
        found = derive_judgement(trained(), parent(), [], NOW)
        assert set(conditions(found.status).values()) == {("True", "")}
        assert found.labels == {PARENT_LABEL: "m", ALLOCATED_LABEL: "m"}
        assert found.served
        assert found.status["url"] == "http://m/v1/models/one:predict"
        assert found.status["address"] == {"url": "http://local/m/v1/models/one:predict"}

    @pytest.mark.parametrize("ready", ["False", "Unknown"])
    def test_a_service_that_is_not_ready_takes_none_yet_but_keeps_its_memory(
        self, ready: str
    ) -> None:
        found = derive_judgement(trained(), parent(ready=ready), [], NOW)
        told = conditions(found.status)
        assert told["InferenceServiceReady"] == ("False", "InferenceServiceNotReady")
        assert told["Ready"] == told["InferenceServiceReady"]
        assert found.labels[ALLOCATED_LABEL] == "m"
        assert not found.served
        assert "url" not in found.status

    @pytest.mark.parametrize(
        ("predictor", "several"),
        [
            pytest.param({"model": {"modelFormat": {"name": "x"}}}, True, id="no place"),
            pytest.param(
                {"model": {"modelFormat": {"name": "x"}, "storageUri": "s3://b"}}, False, id="a URI"
            ),
            pytest.param(
                {"model": {"modelFormat": {"name": "x"}, "storage": {"key": "k"}}}, False,
                id="a storage spec",
            ),
            pytest.param(
                {"model": {"modelFormat": {"name": "huggingface"}}}, False,
                id="a format that fetches by itself",
            ),
            pytest.param(container(MULTI_MODEL_SERVER="true"), True, id="a container that says so"),
            pytest.param(container(), False, id="a container that does not"),
        ],
    )  # fmt: skip
    def test_whether_a_predictor_takes_several_models(self, predictor: Json, several: bool) -> None:
        found = conditions(derive_judgement(trained(), parent(predictor), [], NOW).status)
        wanted = ("True", "") if several else ("False", "IsNotMMSPredictor")
        assert found["IsMMSPredictor"] == wanted

    @pytest.mark.parametrize(
        ("limit", "others", "fits"),
        [
            pytest.param("1Gi", [], True, id="just enough"),
            pytest.param("1023Mi", [], False, id="a little too little"),
            pytest.param("2Gi", [trained("two", "1Gi", share=True)], True, id="the other half"),
            pytest.param("2Gi", [trained("two", "1025Mi", share=True)], False, id="less than half"),
            pytest.param("1Gi", [trained("two", "9Gi")], True, id="one without a share"),
            pytest.param("1Gi", [trained(share=True)], True, id="its own share, once"),
        ],
    )
    def test_memory_is_shared_out_once(self, limit: str, others: list[Json], fits: bool) -> None:
        found = derive_judgement(trained(), parent(limit=limit), others, NOW)
        told = conditions(found.status)["MemoryResourceAvailable"]
        assert told == (("True", "") if fits else ("False", "MemoryResourceNotAvailable"))
        assert (ALLOCATED_LABEL in found.labels) is fits

    def test_a_service_without_a_limit_has_no_memory_to_give(self) -> None:
        plain = {"model": {"modelFormat": {"name": "x"}}}
        found = conditions(derive_judgement(trained(), parent(plain), [], NOW).status)
        assert found["MemoryResourceAvailable"] == ("False", "MemoryResourceNotAvailable")

    @pytest.mark.parametrize(
        "service",
        [
            pytest.param(parent(), id="ready"),
            pytest.param(parent({"containers": []}, ready="False"), id="refused for three reasons"),
            pytest.param(parent({"containers": []}), id="refused for two reasons"),
        ],
    )
    def test_times_stay_while_nothing_changes(self, service: Json) -> None:
        once = derive_judgement(trained(), service, [], NOW).status
        later = derive_judgement(trained(**once), service, [], NOW + 60).status
        assert later == once


class TestAddresses:
    @pytest.mark.parametrize("protocol", ["v2", "grpc-v2"])
    def test_the_path_is_of_the_protocol_of_the_service(self, protocol: str) -> None:
        service = parent()
        service["spec"]["predictor"]["model"]["protocolVersion"] = protocol
        url = derive_judgement(trained(), service, [], NOW).status["url"]
        assert url.endswith("/v2/models/one/infer" if protocol == "v2" else ":predict")

    def test_a_container_says_its_protocol_in_a_variable(self) -> None:
        service = parent(container(MULTI_MODEL_SERVER="true", PROTOCOL="v2"))
        url = derive_judgement(trained(), service, [], NOW).status["url"]
        assert url == "http://m/v2/models/one/infer"


LISTED_BEFORE = '[{"modelName":"gone","modelSpec":{"storageUri":"s3://b/gone"}}]'


def entry(name: str, uri: str = "s3://b/m") -> Json:
    return {
        "modelName": name,
        "modelSpec": {"storageUri": uri, "framework": "sklearn", "memory": "1Gi"},
    }


def said(served: bool) -> Judgement:
    return Judgement({"conditions": []}, {}, served)


class TestTheListOfTheAgent:
    @pytest.mark.parametrize(
        ("known", "judged", "listed"),
        [
            pytest.param([], [("one", True)], [entry("one")], id="one that is served comes in"),
            pytest.param(
                [], [("two", True), ("one", True)], [entry("one"), entry("two")], id="by name"
            ),
            pytest.param([], [("one", False)], [], id="one that is not served does not"),
            pytest.param(
                [entry("one", "s3://b/old")], [("one", False)], [entry("one", "s3://b/old")],
                id="one that was served stays as it was: its service may be back soon",
            ),
            pytest.param(
                [entry("one", "s3://b/old")], [("one", True)], [entry("one")], id="one that changed"
            ),
            pytest.param([entry("one")], [], [], id="one that is gone goes"),
        ],
    )  # fmt: skip
    def test_what_it_says(
        self, known: list[Json], judged: list[tuple[str, bool]], listed: list[Json]
    ) -> None:
        told = [(trained(name), said(served)) for name, served in judged]
        assert json.loads(derive_model_list(json.dumps(known), told)) == listed

    def test_what_says_the_same_already_stays_as_it_is_written(self) -> None:
        known = json.dumps([entry("two"), entry("one")], indent=2)
        told = [(trained(name), said(served=True)) for name in ("one", "two")]
        assert derive_model_list(known, told) == known

    @pytest.mark.parametrize("known", ["", "{", "7", '[{"modelName": "x"}]'])
    def test_what_nobody_can_read_is_written_anew(self, known: str) -> None:
        listed = derive_model_list(known, [(trained(), said(served=True))])
        assert json.loads(listed) == [entry("one")]


class TestAllModelsOfAService:
    def test_memory_goes_to_who_has_it_then_to_the_oldest(self) -> None:
        models = []
        for name, created, share in (
            ("young", "3", False),
            ("old", "2", False),
            ("has", "1", True),
        ):
            models.append(trained(name, share=share))
            models[-1]["metadata"]["creationTimestamp"] = f"2026-01-0{created}T00:00:00Z"
        found = {m["metadata"]["name"]: j.served for m, j in judge_together(models, parent(), NOW)}
        assert found == {"has": True, "old": True, "young": False}

    def test_labels_of_others_stay(self) -> None:
        model = trained(share=True)
        model["metadata"]["labels"]["team"] = "blue"
        assert merge_labels(model, {PARENT_LABEL: "m"}) == {"team": "blue", PARENT_LABEL: "m"}

    def test_one_without_its_service_says_which_is_missing(self) -> None:
        found = derive_orphan(trained(), NOW)
        told = {c["type"]: c for c in found.status["conditions"]}
        assert conditions(found.status)["Ready"] == ("False", "InferenceServiceNotReady")
        assert 'InferenceService "m" does not exist' in told["InferenceServiceReady"]["message"]
        assert not found.served
        assert found.labels == {}


def without_times(status: Json) -> Json:
    told = [{k: v for k, v in c.items() if k not in ("lastTransitionTime", "severity")}
            for c in status["conditions"]]  # fmt: skip
    return {**status, "conditions": told}


@pytest.mark.parametrize("story", ["28-trained-models", "28b-trained-model-early"])
@pytest.mark.parametrize("set_up", ["standard-gateway", "standard-ingress", "knative"])
def test_a_story_of_trained_models_is_told_as_kserve_tells_it(
    golden_folder: Any, set_up: str, story: str
) -> None:
    path = golden_folder / "lifecycle" / set_up / f"{story}.json"
    if not path.exists():
        pytest.skip(f"not recorded: {set_up}/{story}")
    services: dict[str, Json] = {}
    models: dict[str, Json] = {}
    for number, step in enumerate(json.loads(path.read_text())["steps"]):
        take(step, services, models)
        tell(step, services, models, f"step {number}")


def take(step: Json, services: dict[str, Json], models: dict[str, Json]) -> None:
    """Do what a step does to the objects."""
    do = step["do"]
    kind = do.get("kind") or (do.get("object") or {}).get("kind")
    kept = models if kind == "TrainedModel" else services
    if do["verb"] == "create":
        kept[do["object"]["metadata"]["name"]] = copy.deepcopy(step["defaulted"])
    elif do["verb"] == "patch" and step["admission"]["allowed"]:
        kept[do["name"]]["spec"]["model"] |= do["patch"]["spec"]["model"]
    elif do["verb"] == "delete":
        kept.pop(do["name"])
    for name, service in services.items():
        if name == "m" and step.get("status") is not None:
            service["status"] = step["status"]
        elif do.get("then"):
            service["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}


def tell(step: Json, services: dict[str, Json], models: dict[str, Json], where: str) -> None:
    """Hold what is said of each model, and the agent's list, against what KServe said."""
    judged = []
    for name, model in models.items():
        service = services.get(model["spec"]["inferenceService"])
        if service is None:
            continue  # it is going with its service
        found = derive_judgement(model, service, models.values(), NOW)
        model["metadata"]["labels"], model["status"] = dict(found.labels), found.status
        judged.append((model, found))
        told = (step.get("also") or {}).get(f"TrainedModel/{name}")
        if told is not None:
            assert found.labels == told["labels"], where
            assert without_times(found.status) == told["status"], where
    for listed in step.get("objects") or ():
        if listed["kind"] == "ConfigMap" and MODELS_JSON in listed["data"] and services:
            recorded = json.loads(listed["data"][MODELS_JSON])  # in any order: a map's, in Go
            recorded.sort(key=lambda entry: str(entry["modelName"]))
            assert json.loads(derive_model_list(LISTED_BEFORE, judged)) == recorded, where

"""Rules about language models' services: upstream's texts, in either version."""

from __future__ import annotations

from typing import Any

import pytest

Json = dict[str, Any]
DEVICES = {"containers": []}
HTTP = "spec.router.route.http"
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {}}
KEDA = {"triggers": [{"type": "cron", "metadata": {}}]}


def llm(version: str = "v1alpha2", **spec: Any) -> Json:
    return {
        "apiVersion": f"serving.kserve.io/{version}",
        "kind": "LLMInferenceService",
        "metadata": {"name": "tiny", "namespace": "default"},
        "spec": {"model": {"uri": "hf://a/b"}, **spec},
    }


def routed(http: Json, **router: Any) -> Json:
    return {"router": {"route": {"http": http}, **router}}


def lora(*adapters: Any) -> Json:
    return {"model": {"uri": "hf://a/b", "lora": {"adapters": [*adapters]}}}


def tier(**folder: Any) -> Json:
    return {"kvCacheOffloading": {"cpu": "1Gi", "secondary": [{"fileSystem": folder}]}}


def ruled(**rule: Any) -> Json:
    return routed({"spec": {"rules": [rule]}})


def wva(**more: Any) -> Json:
    return {"scaling": {"maxReplicas": 2, "wva": more}}


def test_every_mistake_is_named_at_once(admit: Any) -> None:
    spec = {"worker": DEVICES, "router": {"scheduler": {"replicas": 0, "config": {}}}}
    assert len(admit(llm(**spec, **lora({"name": "."}))).errors) == 4


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_the_number_of_pods_of_a_copy_cannot_change(admit: Any, version: str) -> None:
    before = admit(llm(version, worker=DEVICES, parallelism={"pipeline": 2})).obj
    after = admit(llm(version, worker=DEVICES, parallelism={"pipeline": 3}), before)
    (error,) = after.errors
    assert error.path == "spec.parallelism"
    assert error.message.endswith(
        "total parallelism size is immutable, previous size 2, curr size 3"
    )


def test_what_is_said_twice_alike_is_a_warning(admit: Any) -> None:
    gateways = [{"name": "a", "namespace": "b"}]
    spec = routed({"spec": {"parentRefs": gateways}}, gateway={"refs": gateways})
    (warning,) = admit(llm(**spec)).warnings
    assert "parentRefs can be omitted when spec.router.gateway.refs is set" in warning


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_the_name_the_group_and_empty_pods_are_filled_in(admit: Any, version: str) -> None:
    route = {"group": "g", "weight": 1}
    filled = admit(llm(version, template={}, router={"route": route})).obj
    assert filled["apiVersion"].endswith(version)
    assert filled["spec"]["model"]["name"] == "tiny"
    assert filled["spec"]["template"] == {"containers": []}
    assert filled["metadata"]["labels"] == {"serving.kserve.io/routing-group": "g"}
    without = {**filled, "spec": {**filled["spec"], "router": {}}}
    assert "labels" not in admit(without, filled).obj["metadata"]


def test_a_service_that_is_being_deleted_is_not_judged_again(admit: Any) -> None:
    broken = llm(worker=DEVICES)
    broken["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    assert admit(broken).errors == ()


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_a_configuration_names_no_others_and_runs_a_scheduler(admit: Any, version: str) -> None:
    spec = {"baseRefs": [{"name": "x"}], "router": {"scheduler": {"replicas": 0}}}
    config = {**llm(version, **spec), "kind": "LLMInferenceServiceConfig"}
    found = {error.path: error.message for error in admit(config).errors}
    assert found["spec.baseRefs"] == (
        "Forbidden: baseRefs is not a permitted field in LLMInferenceServiceConfig, support for "
        "recursive refs has been disabled"
    )
    assert "greater than zero" in found["spec.router.scheduler.replicas"]


def test_texts_of_a_configuration_may_be_templates(admit: Any) -> None:
    spec = routed({"spec": {"rules": [{"name": "{{ .ObjectMeta.Name }}"}]}})
    assert admit({**llm(**spec), "kind": "LLMInferenceServiceConfig"}).errors == ()
    assert admit(llm(**spec)).errors != ()

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


@pytest.mark.parametrize(
    ("spec", "path", "text"),
    [
        pytest.param(
            routed({"refs": [{"name": "r"}], "spec": {}}), HTTP,
            "cannot use both custom HTTPRoute refs ('spec.router.route.http.refs') and an inline "
            "route spec ('spec.router.route.http.spec'); choose one",
            id="routes are named or written",
        ),
        pytest.param(
            routed({"refs": [{"name": "r"}]}, gateway={}), f"{HTTP}.refs",
            "cannot be used with a managed gateway ('spec.router.gateway'); either remove",
            id="routes of one's own need gateways of one's own",
        ),
        pytest.param(
            routed({"spec": {"parentRefs": [{"name": "a"}]}}, gateway={"refs": [{"name": "b"}]}),
            f"{HTTP}.spec",
            "has parentRefs that conflict with custom gateway refs ('spec.router.gateway.refs')",
            id="gateways that are said twice agree",
        ),
        pytest.param(
            {"router": {"route": {"weight": 1}}}, "spec.router.route.group",
            "Required value: weight requires group", id="a weight needs a group",
        ),
        pytest.param(
            {"router": {"route": {"group": "g"}}}, "spec.router.route.weight",
            "Required value: group requires weight", id="a group needs a weight",
        ),
        pytest.param(
            {"router": {"route": {"group": "g", "weight": 1}, "ingress": {}}},
            "spec.router.route.group", "traffic splitting requires Gateway API routing; the "
            "controller manages HTTPRoutes, not Ingress resources", id="a group needs gateways",
        ),
        pytest.param(
            {"router": {"route": {"group": "g", "weight": 1, "http": {"refs": [{"name": "r"}]}}}},
            "spec.router.route.group", "traffic splitting cannot be used with custom HTTPRoute "
            "refs", id="a group needs routes that are made",
        ),
        pytest.param(
            {"worker": DEVICES}, "spec.worker", "when worker is specified, parallelism must be "
            "configured for either data parallelism or pipeline parallelism",
            id="workers need something to share",
        ),
        pytest.param(
            {"parallelism": {"pipeline": 2, "data": 2, "dataLocal": 1}}, "spec.parallelism",
            "cannot set both pipeline parallelism and data parallelism (data or dataLocal) "
            "simultaneously", id="a model is spread in one way",
        ),
        pytest.param(
            {"prefill": {"parallelism": {"data": 2}}}, "spec.prefill.parallelism.dataLocal",
            "Invalid value: null: dataLocal must be set when data is set",
            id="data needs dataLocal",
        ),
        pytest.param(
            {"parallelism": {"dataLocal": 2}}, "spec.parallelism.data",
            "data must be set when dataLocal is set", id="dataLocal needs data",
        ),
        pytest.param(
            {"router": {"scheduler": {"replicas": 0}}}, "spec.router.scheduler.replicas",
            "Invalid value: 0: scheduler replicas must be greater than zero",
            id="there is a scheduler",
        ),
        pytest.param(
            {"router": {"scheduler": {"config": {}}}}, "spec.router.scheduler.config",
            "either inline or ref is required", id="a scheduler's configuration is somewhere",
        ),
        pytest.param(
            {"router": {"scheduler": {"config": {"inline": {"a": 1}, "ref": {"key": "k",
             "name": "n"}}}}}, "spec.router.scheduler.config",
            "both inline and ref are set, either specify inline or ref",
            id="a scheduler's configuration is in one place",
        ),
        pytest.param(
            {"router": {"scheduler": {"config": {"inline": {}}}}},
            "spec.router.scheduler.config.inline", "inline configuration is invalid",
            id="a scheduler's configuration is not empty",
        ),
        pytest.param(
            {"router": {"scheduler": {"config": {"ref": {"key": "k"}}}}},
            "spec.router.scheduler.config.ref.name", "name is empty",
            id="a scheduler's ConfigMap has a name",
        ),
        pytest.param(
            lora({"uri": "x"}), "spec.model.lora.adapters[0].name",
            "Required value: adapter name is required", id="an adapter has a name",
        ),
        pytest.param(
            lora({"name": ".."}), "spec.model.lora.adapters[0].name",
            'adapter name must not include "." or ".." (path traversal risk)',
            id="an adapter's name leaves no folder",
        ),
        pytest.param(
            lora({"name": "a"}, {"name": "a"}), "spec.model.lora.adapters[1].name",
            "duplicate name (same as adapters[0])", id="an adapter has a name of its own",
        ),
        pytest.param(
            lora({"name": "tiny"}), "spec.model.lora.adapters[0].name",
            'adapter name must differ from base model name "tiny"',
            id="an adapter is not called as the model is",
        ),
        pytest.param(
            tier(), "spec.kvCacheOffloading.secondary[0].fileSystem",
            "exactly one of emptyDir or pvc must be set", id="a tier is somewhere",
        ),
        pytest.param(
            tier(emptyDir={"size": "1Gi"}, pvc={"ref": {"name": "c"}}),
            "spec.kvCacheOffloading.secondary[0].fileSystem",
            "exactly one of emptyDir or pvc must be set; multiple are set",
            id="a tier is in one place",
        ),
        pytest.param(
            tier(pvc={}), "spec.kvCacheOffloading.secondary[0].fileSystem.pvc",
            "exactly one of spec or ref must be set", id="a volume is made or named",
        ),
        pytest.param(
            tier(pvc={"ref": {"name": ""}}),
            "spec.kvCacheOffloading.secondary[0].fileSystem.pvc.ref.name",
            "Required value: name is required", id="a volume has a name",
        ),
        pytest.param(
            {"kvCacheOffloading": {"cpu": "0", "secondary": [{"fileSystem": {
             "emptyDir": {"size": "1Gi"}}}]}}, "spec.kvCacheOffloading.cpu",
            "cpu must be set when secondary tiers are configured", id="memory comes first",
        ),
        pytest.param(
            {"rolloutStrategy": {"maxSurge": "101%"}}, "spec.rolloutStrategy.maxSurge",
            "must not be greater than 100%", id="a share is a share",
        ),
        pytest.param(
            {"rolloutStrategy": {"maxSurge": "many"}}, "spec.rolloutStrategy.maxSurge",
            "a valid percent string must be a numeric string followed by an ending '%'",
            id="a share is written in percent",
        ),
        pytest.param(
            {"rolloutStrategy": {"maxSurge": -1}}, "spec.rolloutStrategy.maxSurge",
            "must be greater than or equal to 0", id="a number of replicas is not negative",
        ),
        pytest.param(
            {"rolloutStrategy": {"maxSurge": 0, "maxUnavailable": "0%"}}, "spec.rolloutStrategy",
            "maxUnavailable and maxSurge cannot both be zero; this would prevent any rolling "
            "update progress", id="a roll-out can go on",
        ),
        pytest.param(
            {"worker": DEVICES, "parallelism": {"pipeline": 2},
             "rolloutStrategy": {"maxUnavailable": 0}}, "spec.rolloutStrategy.maxSurge",
            "maxSurge is required for multi-node workloads when maxUnavailable is 0",
            id="a roll-out over nodes can go on",
        ),
        pytest.param(
            {"model": {"uri": "s3://m", "confidential": {"enabled": True, "resourceId": "x"}}},
            "spec.model.confidential.resourceId",
            "must be in the format kbs:///<repo>/<type>/<tag>", id="a key has an address",
        ),
        pytest.param(
            {**wva(hpa={}), "prefill": {"scaling": {"maxReplicas": 2, "keda": KEDA}}},
            "spec.prefill.scaling", "decode and prefill must use the same scaling mode; decode "
            "uses wva but prefill uses direct keda", id="both workloads scale in one mode",
        ),
        pytest.param(
            {**wva(hpa={}), "prefill": wva(keda={})}, "spec.prefill.scaling.wva",
            "decode and prefill must use the same actuator backend; decode uses hpa but prefill "
            "uses keda", id="both workloads scale by one backend",
        ),
        pytest.param(
            {"replicas": 1, **wva(hpa={})}, "spec", "Invalid value: replicas and scaling are "
            "mutually exclusive; use scaling", id="replicas are given or scaled",
        ),
        pytest.param(
            wva(), "spec.scaling.wva", "either hpa or keda must be specified as the actuator "
            "backend", id="someone scales",
        ),
        pytest.param(
            {"scaling": {"minReplicas": 3, "maxReplicas": 2, "keda": KEDA}}, "spec.scaling",
            "minReplicas cannot exceed maxReplicas", id="the least is not more than the most",
        ),
        pytest.param(
            {"scaling": {"maxReplicas": 2, "keda": {**KEDA, "idleReplicaCount": 1}}},
            "spec.scaling", "idleReplicaCount must be less than minReplicas",
            id="fewer run while nothing is asked",
        ),
        pytest.param(
            ruled(filters=[{**REDIRECT, "urlRewrite": {}}]), f"{HTTP}.spec.rules[0].filters[0]",
            "filter.urlRewrite must be nil if the filter.type is not URLRewrite",
            id="a filter has the field of its type",
        ),
        pytest.param(
            ruled(filters=[REDIRECT, REDIRECT]), f"{HTTP}.spec.rules[0].filters",
            "RequestRedirect filter cannot be repeated", id="a filter is not repeated",
        ),
        pytest.param(
            ruled(matches=[{"path": {"value": "/a//b"}}]),
            f"{HTTP}.spec.rules[0].matches[0].path",
            "must not contain '//' when type one of ['Exact', 'PathPrefix']",
            id="a path has no empty part",
        ),
        pytest.param(
            ruled(backendRefs=[{"name": "s"}]), f"{HTTP}.spec.rules[0].backendRefs[0]",
            "Must have port for Service reference", id="a Service has a port",
        ),
        pytest.param(
            ruled(timeouts={"request": "1s", "backendRequest": "1m"}),
            f"{HTTP}.spec.rules[0].timeouts",
            "backendRequest timeout cannot be longer than request timeout",
            id="one try is not longer than the whole",
        ),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_in_upstreams_words(
    admit: Any, spec: Json, path: str, text: str
) -> None:
    found = {error.path: error.message for error in admit(llm(**spec)).errors}
    assert text in found.get(path, ""), found


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

"""The same pods and the same verdicts as a real KServe, for each of its own samples.

Recorded in Standard mode with Ingress and with the Gateway API. What is compared is the template of
the predictor's Deployment; what the API server and the webhooks add to it is listed below.
"""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api.config import Config
from sampan.plan.build import build_plan
from sampan.plan.observed import NOTHING
from sampan.plan.status import derive_status
from sampan.plan.types import Gateway, Snapshot

SET_UPS = ("standard-ingress", "standard-gateway")

# Defaults that the API server writes into a pod.
POD_DEFAULTS = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
    "securityContext": {},
}
# And into its containers; KServe writes the first of them itself.
CONTAINER_DEFAULTS = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
PROBE_DEFAULTS = {
    "failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
}  # fmt: skip
# What hands the logger and the model agent, neither of which is built, to KServe's
# pod webhook; a warning of the plan stands for each.
HANDED_ON = {
    "internal.serving.kserve.io/logger": "spec.predictor.logger",
    "internal.serving.kserve.io/logger-mode": "spec.predictor.logger",
    "internal.serving.kserve.io/logger-sink-url": "spec.predictor.logger",
    "internal.serving.kserve.io/agent": "spec.predictor.model.storageUri",
    "internal.serving.kserve.io/configMountPath": "spec.predictor.model.storageUri",
    "internal.serving.kserve.io/configVolumeName": "spec.predictor.model.storageUri",
    "internal.serving.kserve.io/modelDir": "spec.predictor.model.storageUri",
}
# Reasons that stand for what Sampan has not built; KServe goes on where these stop.
NOT_BUILT = {
    "MultiNodeNotSupported", "DeploymentModeNotSupported",
}  # fmt: skip
COMPARED = 90
"""At least so many of the recordings of a set-up end in a template that is compared."""


@pytest.fixture(scope="session", params=SET_UPS)
def recordings(request, golden_folder, golden):
    """Every admitted InferenceService of a set-up, by sample name."""
    paths = sorted((golden_folder / request.param).glob("inferenceservice-*.json"))
    found = {p.stem: golden(f"{request.param}/{p.name}") for p in paths}
    return {name: r for name, r in found.items() if r["admission"]["allowed"]}


def plan_of(recording: dict[str, Any], installed):
    snapshot = Snapshot(
        recording["defaulted"], (), installed, Config(), Gateway(), NOTHING, 1_800_000_000.0
    )
    return snapshot, build_plan(snapshot)


def predictor_template(recording):
    """The template that KServe made for the predictor's Deployment, None when it made none."""
    name = recording["defaulted"]["metadata"]["name"]
    return next(
        (
            o["spec"]["template"]
            for o in recording["objects"]
            if o["kind"] == "Deployment" and o["metadata"]["name"] == f"{name}-predictor"
        ),
        None,
    )


def without(mapping, defaults):
    return {k: v for k, v in mapping.items() if k not in defaults or v != defaults[k]}


def plain_container(container):
    found = without(container, CONTAINER_DEFAULTS)
    if found.get("readinessProbe") == default_probe(container):
        del found["readinessProbe"]
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        if kind in found:
            found[kind] = plain_probe(found[kind])
    if "env" in found:
        # Go leaves out an empty text.
        found["env"] = [without(e, {"value": ""}) for e in found["env"]]
    if "ports" in found:
        found["ports"] = [without(p, {"protocol": "TCP"}) for p in found["ports"]]
    return found


def default_probe(container):
    """What KServe gives to a server without a readiness probe: its first port accepts."""
    ports = container.get("ports") or [{"containerPort": 8080}]
    return {**PROBE_DEFAULTS, "tcpSocket": {"port": ports[0]["containerPort"]}}


def plain_probe(probe):
    found = without(probe, PROBE_DEFAULTS)
    if "httpGet" in found:
        found["httpGet"] = without(found["httpGet"], {"scheme": "HTTP"})
    return found


def plain_spec(spec):
    found = without(spec, POD_DEFAULTS)
    # The old name of the field is written beside the new one.
    account = found.pop("serviceAccount", None) or found.get("serviceAccountName")
    if account:
        found["serviceAccountName"] = account
    containers = [plain_container(c) for c in found["containers"]]
    return {**found, "containers": containers}


def plain_metadata(metadata):
    """Without the Deployment's own name and namespace, which KServe leaves in the template."""
    annotations = {k: v for k, v in metadata["annotations"].items() if k not in HANDED_ON}
    return {"labels": metadata["labels"], "annotations": annotations}


def test_the_merged_pods_are_kserve_s(recordings, installed):
    compared = 0
    for name, recording in recordings.items():
        expected = predictor_template(recording)
        _, plan = plan_of(recording, installed)
        if expected is None or plan.blocked:
            continue
        workload = plan.workloads[0]
        assert plain_spec(workload.template["spec"]) == plain_spec(expected["spec"]), name
        assert plain_metadata(workload.template["metadata"]) == plain_metadata(
            expected["metadata"]
        ), name
        compared += 1
    assert compared >= COMPARED


def test_what_is_handed_to_missing_parts_gives_a_warning(recordings, installed):
    for name, recording in recordings.items():
        template = predictor_template(recording)
        _, plan = plan_of(recording, installed)
        if template is None or plan.blocked:
            continue
        handed = {HANDED_ON[k] for k in template["metadata"]["annotations"] if k in HANDED_ON}
        assert handed <= {path for path, _ in plan.warnings}, name


def test_only_what_is_not_built_is_blocked_where_kserve_goes_on(recordings, installed):
    for name, recording in recordings.items():
        _, plan = plan_of(recording, installed)
        if predictor_template(recording) is not None and plan.blocked:
            assert plan.blocked.reason in NOT_BUILT, name


def test_the_runtime_is_kserve_s(recordings, installed):
    compared = 0
    for name, recording in recordings.items():
        expected = recording["status"].get("clusterServingRuntimeName", "")
        _, plan = plan_of(recording, installed)
        if recording["status"].get("deploymentMode") == "ModelMesh":
            continue
        if expected or (plan.blocked and plan.blocked.reason == "RuntimeNotRecognized"):
            assert plan.runtime_name == expected, name
            compared += 1
    assert compared >= COMPARED


def test_a_refused_spec_is_told_as_kserve_tells_it(recordings, installed):
    compared = 0
    for name, recording in recordings.items():
        expected = recording["status"].get("modelStatus") or {}
        if expected.get("transitionStatus") != "InvalidSpec":
            continue
        snapshot, plan = plan_of(recording, installed)
        status = derive_status(snapshot, plan, NOTHING)
        failure = status["modelStatus"].pop("lastFailureInfo")
        told = expected.pop("lastFailureInfo")
        assert status["modelStatus"] == expected, name
        assert failure["reason"] == told["reason"]
        assert failure["message"].startswith(told["message"])
        assert statuses(status) == statuses(recording["status"]), name
        compared += 1
    assert compared >= 3


def test_before_anything_is_ready_the_conditions_are_as_kserve_s(recordings, installed):
    """False and False here and there; the reasons are Sampan's, which name the link."""
    for name, recording in recordings.items():
        snapshot, plan = plan_of(recording, installed)
        if plan.blocked or predictor_template(recording) is None:
            continue
        status = derive_status(snapshot, plan, NOTHING)
        assert statuses(status) == statuses(recording["status"]), name
        assert status["modelStatus"]["states"] == {
            "activeModelState": "", "targetModelState": "Pending",
        }, name  # fmt: skip
        assert "url" not in status


def test_once_ready_the_status_is_as_kserve_s(recordings, installed, make):
    """But for the URLs, which are the platform's, and the words of PredictorReady."""
    compared = 0
    for name, recording in recordings.items():
        snapshot, plan = plan_of(recording, installed)
        expected = (recording.get("ready") or {}).get("status")
        # Two samples never become ready there: their pods are refused for want of a Secret.
        if plan.blocked or not expected or statuses(expected)["Ready"][0] != "True":
            continue
        status = derive_status(snapshot, plan, make.all_ready(plan))
        assert statuses(status) == statuses(expected), name
        assert status["modelStatus"]["states"] == expected["modelStatus"]["states"], name
        assert status["modelStatus"]["transitionStatus"] == "UpToDate", name
        assert status["modelStatus"]["copies"]["failedCopies"] == 0, name
        assert reasons(status) == reasons(expected), name
        same = {k: v for k, v in expected.items() if k in SAME_FIELDS}
        assert {k: status[k] for k in same} == same, name
        assert set(status) >= {"url", "address"}, name
        compared += 1
    assert compared >= COMPARED


SAME_FIELDS = ("deploymentMode", "clusterServingRuntimeName", "servingRuntimeName")


def reasons(status):
    return {c["type"]: c.get("reason") for c in status["conditions"]}


def statuses(status):
    return {c["type"]: (c["status"], c.get("severity")) for c in status["conditions"]}

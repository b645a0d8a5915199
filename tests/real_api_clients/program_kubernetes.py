"""The stock Kubernetes Python client: typed, custom objects, dynamic, watches."""

from __future__ import annotations

import sys
import threading

from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException
from steps import run_steps, step

MODEL = sys.argv[1]
GROUP = "serving.kserve.io"
SERVICES = (GROUP, "v1beta1", "default", "inferenceservices")

config.load_kube_config(context="sampan")
core, custom = client.CoreV1Api(), client.CustomObjectsApi()


def service(name: str) -> dict:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": MODEL}
    return {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"model": model}},
    }


def refused(code: int, call, *arguments, **more) -> ApiException:
    try:
        call(*arguments, **more)
    except ApiException as error:
        found = error
    else:
        raise AssertionError(f"{call.__name__} was not refused")
    assert found.status == code, found
    return found


def wait_for(name: str, kind: str) -> None:
    """Watch a service until a condition is True."""
    events = watch.Watch().stream(
        custom.list_namespaced_custom_object,
        *SERVICES,
        field_selector=f"metadata.name={name}",
        timeout_seconds=90,
    )
    for event in events:
        conditions = event["object"].get("status", {}).get("conditions", [])
        if any(c["type"] == kind and c["status"] == "True" for c in conditions):
            return
    raise AssertionError(f"{name} never had {kind}")


@step
def discovery_and_version_decode_into_types():
    assert client.VersionApi().get_code().major == "1"
    groups = [g.name for g in client.ApisApi().get_api_versions().groups]
    assert GROUP in groups
    assert "configmaps" in [r.name for r in core.get_api_resources().resources]


@step
def a_namespace_comes_with_a_service_account():
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name="lab")))
    accounts = core.list_namespaced_service_account("lab").items
    assert [a.metadata.name for a in accounts] == ["default"]


@step
def typed_config_maps_are_made_changed_and_listed_in_pages():
    meta = client.V1ObjectMeta(generate_name="part-")
    names = {
        core.create_namespaced_config_map(
            "lab", client.V1ConfigMap(metadata=meta, data={"n": str(n)})
        ).metadata.name
        for n in range(5)
    }
    seen, token = [], None
    while True:
        page = core.list_namespaced_config_map("lab", limit=2, _continue=token)
        seen += [m.metadata.name for m in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert set(seen) >= names
    assert len(seen) == len(set(seen))
    changed = core.patch_namespaced_config_map(min(names), "lab", {"data": {"more": "1"}})
    assert changed.data["more"] == "1"


@step
def a_secret_is_stored_in_base64():
    meta = client.V1ObjectMeta(name="key")
    core.create_namespaced_secret("lab", client.V1Secret(metadata=meta, string_data={"a": "b"}))
    assert core.read_namespaced_secret("key", "lab").data == {"a": "Yg=="}


@step
def a_custom_object_is_created_and_a_second_time_refused():
    made = custom.create_namespaced_custom_object(*SERVICES, service("flowers"))
    assert made["metadata"]["generation"] == 1
    error = refused(409, custom.create_namespaced_custom_object, *SERVICES, service("flowers"))
    assert error.reason == "Conflict"
    assert "already exists" in error.body


@step
def a_watch_tells_when_it_is_ready():
    wait_for("flowers", "Ready")


@step
def a_watch_resumes_from_a_version_without_a_gap():
    listed = core.list_namespaced_config_map("lab")
    for number in range(3):
        meta = client.V1ObjectMeta(name=f"later-{number}")
        core.create_namespaced_config_map("lab", client.V1ConfigMap(metadata=meta))
    stream = watch.Watch()
    names = []
    for event in stream.stream(
        core.list_namespaced_config_map,
        "lab",
        resource_version=listed.metadata.resource_version,
        timeout_seconds=30,
    ):
        names.append((event["type"], event["object"].metadata.name))
        if len(names) == 3:
            stream.stop()
    assert names == [("ADDED", f"later-{n}") for n in range(3)]


@step
def a_merge_patch_and_a_stale_replace():
    old = custom.get_namespaced_custom_object(*SERVICES, "flowers")
    body = {"metadata": {"labels": {"team": "a"}}}
    changed = custom.patch_namespaced_custom_object(*SERVICES, "flowers", body)
    assert changed["metadata"]["labels"] == {"team": "a"}
    error = refused(409, custom.replace_namespaced_custom_object, *SERVICES, "flowers", old)
    assert "the object has been modified" in error.body


@step
def status_is_a_subresource():
    found = custom.get_namespaced_custom_object_status(*SERVICES, "flowers")
    assert found["status"]["observedGeneration"] >= 1


@step
def replicas_are_read_as_pods_with_their_logs():
    pods = core.list_namespaced_pod(
        "default", label_selector="serving.kserve.io/inferenceservice=flowers"
    ).items
    running = [p for p in pods if p.status.phase == "Running"]
    assert "is ready" in core.read_namespaced_pod_log(running[0].metadata.name, "default")


@step
def events_are_about_the_service():
    found = core.list_namespaced_event("default", field_selector="involvedObject.name=flowers")
    assert "InferenceServiceReady" in [e.reason for e in found.items]


@step
def access_reviews_answer():
    asked = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    review = client.AuthorizationV1Api().create_self_subject_access_review(asked)
    assert review.status.allowed is True
    told = client.AuthenticationV1Api().create_self_subject_review({})
    assert told.status.user_info.username


@step
def the_dynamic_client_finds_applies_and_watches():
    dyn = dynamic.DynamicClient(client.ApiClient())
    services = dyn.resources.get(api_version=f"{GROUP}/v1beta1", kind="InferenceService")
    applied = services.server_side_apply(
        body=service("applied"), namespace="default", field_manager="tests"
    )
    assert applied.metadata.managedFields[0].manager == "tests"
    version = services.get(namespace="default").metadata.resourceVersion
    threading.Timer(
        0.5,
        lambda: services.patch(
            name="applied",
            namespace="default",
            body={"metadata": {"annotations": {"seen": "yes"}}},
            content_type="application/merge-patch+json",
        ),
    ).start()
    for event in services.watch(namespace="default", resource_version=version, timeout=30):
        seen = event["object"].metadata.annotations or {}
        if event["object"].metadata.name == "applied" and seen["seen"] == "yes":
            break
    else:
        raise AssertionError("the change was never told")
    services.delete(name="applied", namespace="default")


@step
def deleting_takes_it_away():
    custom.delete_namespaced_custom_object(*SERVICES, "flowers")
    stream = watch.Watch()
    for event in stream.stream(custom.list_namespaced_custom_object, *SERVICES, timeout_seconds=60):
        if event["type"] == "DELETED" and event["object"]["metadata"]["name"] == "flowers":
            stream.stop()
    refused(404, custom.get_namespaced_custom_object, *SERVICES, "flowers")


run_steps()

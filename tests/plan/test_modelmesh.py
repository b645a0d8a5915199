"""ModelMesh mode as a decision: which runtime, which model, what its status says."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from sampan.plan.build import build_plan, nothing_unbuilt
from sampan.plan.chain import derive_chain
from sampan.plan.explain import why
from sampan.plan.mesh_settings import MeshSettings
from sampan.plan.modelmesh import decode_entry, derive_model_spec
from sampan.plan.modelmesh_host import build_host_plan, make_host_workload, make_mesh_settings
from sampan.plan.observed import Link, LinkState, MeshCopy, MeshSeen, Observed
from sampan.plan.status import derive_status
from sampan.plan.types import Plan, ServiceKey, Snapshot

MODE = {"serving.kserve.io/deploymentMode": "ModelMesh"}
ADAPTER = {"serverType": "mlserver"}
MIB = 1024**2


def many(make: Any, name: str = "mlserver-1.x", **spec: Any) -> dict[str, Any]:
    """A multi-model runtime, as ModelMesh ships one."""
    values: dict[str, Any] = {
        "formats": ("sklearn:1", "xgboost:2"), "multiModel": True, "grpcEndpoint": "port:8085",
        "protocolVersions": ["grpc-v2"], "builtInAdapter": ADAPTER, **spec,
    }  # fmt: skip
    runtime: dict[str, Any] = make.runtime(name, **values)
    return runtime


def snapshot(make: Any, runtimes: tuple[Any, ...] | None = None, **spec: Any) -> Snapshot:
    found = (many(make),) if runtimes is None else runtimes
    service = make.service(meta_annotations=MODE, **spec)
    made: Snapshot = make.snapshot(service, runtimes=found)
    return made


# -- the runtime -------------------------------------------------------------------------------


def test_a_multi_model_runtime_is_selected_and_no_other(make):
    plan = build_plan(snapshot(make))
    assert (plan.runtime_name, plan.runtime_scope) == ("mlserver-1.x", "ServingRuntime")
    assert plan.mesh is not None
    assert plan.mesh.host == ServiceKey("default", "mlserver-1.x.modelmesh")
    assert plan.workloads == ()


def test_in_standard_mode_a_multi_model_runtime_is_passed_over(make):
    made = make.snapshot(make.service(), runtimes=(many(make),))
    assert build_plan(made).runtime_name == "kserve-sklearnserver"


@pytest.mark.parametrize(
    ("runtime", "spec", "reason", "text"),
    [
        pytest.param({"multiModel": False}, {}, "NoSupportingRuntime", "no multiModel",
                     id="one for one model is not taken"),
        pytest.param({"grpcEndpoint": ""}, {}, "NoSupportingRuntime", "no grpcEndpoint",
                     id="one without a management endpoint is not taken"),
        pytest.param({"disabled": True}, {}, "NoSupportingRuntime", "it is disabled",
                     id="one that is disabled is not taken"),
        pytest.param({"formats": ({"name": "sklearn"},)}, {}, "NoSupportingRuntime",
                     "only when named", id="one without autoSelect wants to be named"),
        pytest.param({}, {"model": {"protocolVersion": "v1"}}, "NoSupportingRuntime",
                     'it speaks "grpc-v2", not "v1"', id="a protocol that it lacks is missed"),
        pytest.param({}, {"model": {"modelFormat": {"name": "keras"}}}, "NoSupportingRuntime",
                     'no multi-model runtime supports "keras"', id="a format that it lacks too"),
        pytest.param({}, {"model": {"runtime": "kserve-sklearnserver"}}, "NoSupportingRuntime",
                     "it holds one model in a process", id="a named one must be for many"),
        pytest.param({}, {"model": {"runtime": "no"}}, "RuntimeNotRecognized", '"no"',
                     id="a named one must be there"),
        pytest.param({"builtInAdapter": None}, {}, "DeploymentModeNotSupported",
                     "has no builtInAdapter", id="a server of a person's own is not run"),
        pytest.param({"builtInAdapter": {"serverType": "torchserve"}}, {},
                     "DeploymentModeNotSupported", '"torchserve"', id="nor one without a stand-in"),
        pytest.param({}, {"transformer": {"containers": [{}]}}, "DeploymentModeNotSupported",
                     "spec.transformer does not run", id="a transformer has no place"),
        pytest.param({}, {"model": None, "containers": [{"name": "kserve-container"}]},
                     "InvalidPredictorSpec", "spec.predictor.model", id="nor have containers"),
        pytest.param({}, {"model": {"storageUri": None}}, "InvalidPredictorSpec",
                     "names no place", id="a model without a place cannot be brought"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_says_why(make, runtime, spec, reason, text):
    made = snapshot(make, (many(make, **runtime),), **{k: v for k, v in spec.items() if v})
    if spec.get("model", {}) is None:
        made = replace(made, service={**made.service, "spec": {"predictor": {**spec}}})
    blocked = build_plan(made).blocked
    assert blocked is not None
    assert (blocked.reason, text in blocked.message) == (reason, True), blocked.message


@pytest.mark.parametrize("protocol", ["grpc-v2", "v2"])
def test_v2_is_grpc_v2_behind_modelmesh_s_rest_proxy(make, protocol):
    assert build_plan(snapshot(make, model={"protocolVersion": protocol})).blocked is None


def test_a_named_runtime_needs_no_auto_select(make):
    runtime = many(make, formats=({"name": "sklearn"},))
    plan = build_plan(snapshot(make, (runtime,), model={"runtime": "mlserver-1.x"}))
    assert plan.blocked is None


# -- the model ---------------------------------------------------------------------------------


def test_the_short_form_of_a_framework_is_read(make):
    short = {"spec": {"predictor": {"sklearn": {"storageUri": "pvc://a/b", "name": ""}}}}
    model = derive_model_spec(short)["spec"]["predictor"]["model"]
    assert model == {"storageUri": "pvc://a/b", "name": "", "modelFormat": {"name": "sklearn"}}
    made = snapshot(make)
    plan = build_plan(replace(made, service={**made.service, **short}))
    assert plan.mesh is not None
    assert (plan.mesh.format, plan.mesh.uri) == ("sklearn", "pvc://a/b")


def test_another_content_is_another_model_and_the_same_is_the_same(make):
    first, second, again = (
        build_plan(snapshot(make, model={"storageUri": uri})).mesh for uri in ("/a", "/b", "/a")
    )
    assert first is not None
    assert second is not None
    assert first == again
    assert first.id != second.id
    assert first.id.startswith("iris__isvc-")


ENTRIES = {"mine": {"type": "pvc", "name": "claim"}, "s3": {"type": "s3", "bucket": "b"},
           "minio": {"type": "s3", "default_bucket": "d"}, "gcs": {"type": "gcs"}}  # fmt: skip


@pytest.mark.parametrize(
    ("storage", "uri"),
    [
        pytest.param({"key": "mine", "path": "/m/1"}, "pvc://claim/m/1", id="an entry of the key"),
        pytest.param({"path": "m", "parameters": {"type": "pvc", "name": "c"}}, "pvc://c/m",
                     id="parameters of its own"),
        pytest.param({"key": "mine", "path": "m", "parameters": {"name": "other"}},
                     "pvc://other/m", id="parameters stand before the entry"),
        pytest.param({"key": "s3", "path": "m"}, "s3://b/m", id="a bucket of S3"),
        pytest.param({"key": "minio", "path": "m"}, "s3://d/m", id="a bucket in ModelMesh's words"),
        pytest.param({"key": "gcs", "path": "m"}, 'is of type "gcs"', id="another type is told"),
        pytest.param({"key": "no", "path": "m"}, "is no entry", id="a key that is not there"),
        pytest.param({"path": "m"}, 'is of type ""', id="no type at all"),
    ],
)  # fmt: skip
def test_a_storage_spec_names_the_place(make, storage, uri):
    made = snapshot(make, model={"storageUri": None, "storage": storage})
    plan = build_plan(replace(made, storage_entries=ENTRIES))
    if uri.startswith(("pvc", "s3")):
        assert plan.mesh is not None
        assert plan.mesh.uri == uri
    else:
        assert plan.blocked is not None
        assert (plan.blocked.reason, uri in plan.blocked.message) == (
            "StorageSpecNotSupported",
            True,
        )


@pytest.mark.parametrize(
    ("text", "entry"), [('{"type": "pvc"}', {"type": "pvc"}), ("[]", None), ("junk", None)]
)
def test_an_entry_of_a_secret_is_a_json_object(text, entry):
    assert decode_entry(base64.b64encode(text.encode()).decode()) == entry


def test_what_is_no_base64_is_no_entry():
    assert decode_entry("%") is None


def test_what_has_no_meaning_in_this_mode_is_told(make):
    told = dict(build_plan(snapshot(make, minReplicas=2, canaryTrafficPercent=10)).warnings)
    assert "spec.predictor.minReplicas" in told
    assert "new model takes over" in told["spec.predictor.canaryTrafficPercent"]


def test_of_what_is_planned_for_a_cluster_nothing_is_known(make):
    taken = snapshot(make)
    status = derive_status(taken, build_plan(taken, nothing_unbuilt), Observed())
    told = {c["type"]: c["status"] for c in status["conditions"]}
    assert told["PredictorReady"] == told["Ready"] == "Unknown"


def test_on_a_cluster_nothing_of_it_is_planned_here(make):
    assert build_plan(snapshot(make), nothing_unbuilt).mesh is None


# -- the processes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "adapter", "capacity"),
    [
        pytest.param({"requests": {"memory": "1Gi"}}, {}, 896 * MIB, id="the request less 128 MiB"),
        pytest.param({"limits": {"memory": "1Gi"}}, {}, 896 * MIB, id="else the limit"),
        pytest.param({}, {}, 896 * MIB, id="else 1 GiB"),
        pytest.param({"requests": {"memory": "1Gi"}}, {"memBufferBytes": 0}, 1024 * MIB,
                     id="a buffer of its own"),
        pytest.param({"requests": {"memory": "1Mi"}}, {}, 0, id="never less than nothing"),
    ],
)  # fmt: skip
def test_the_bound_is_the_memory_of_the_server_s_container(make, resources, adapter, capacity):
    servers = [{"name": "other"}, {"name": "mlserver", "image": "i", "resources": resources}]
    runtime = many(make, containers=servers, builtInAdapter={**ADAPTER, **adapter})
    assert make_mesh_settings(runtime).capacity == capacity


def test_the_adapter_says_how_long_a_load_may_take_and_annotations_how_many(make):
    runtime = many(
        make, builtInAdapter={**ADAPTER, "modelLoadingTimeoutMillis": 5000},
        annotations={"maxLoadingConcurrency": "2"},
    )  # fmt: skip
    settings = make_mesh_settings(runtime)
    assert (settings.timeout_seconds, settings.loading) == (5.0, 2)


def test_the_first_host_of_a_namespace_answers_for_all(make):
    workload, key = make_host_workload(many(make)), ServiceKey("ns", "mlserver-1.x.modelmesh")
    gateway = make.snapshot().gateway
    first, other = (build_host_plan(workload, key, gateway, leads=leads) for leads in (True, False))
    assert first.route is not None
    assert other.route is not None
    assert first.route.hosts[0] == "modelmesh-serving.ns.localhost"
    assert other.route.hosts == ("modelmesh-serving-mlserver-1.x.ns.localhost",)


def test_replicas_are_the_runtime_s(make):
    assert make_host_workload(many(make)).replicas == 1
    assert make_host_workload(many(make, replicas=3)).replicas == 3


# -- the status --------------------------------------------------------------------------------

DONE = Link(LinkState.DONE)


def seen(
    make: Any, plan: Plan, target: str, active: str = "", *, message: str = "", old: str = ""
) -> Observed:
    """What is seen when the processes run: the states of the target and of the active model."""
    assert plan.mesh is not None
    shared = Plan(plan.mesh.host, workloads=(plan.mesh.workload,))
    host = make.observed(shared, make.replica(shared))
    copy = MeshCopy(plan.mesh.id, target, message, 50.0, copies=int(target == "Loaded"))
    answering = MeshCopy(old or plan.mesh.id, active) if active else None
    mesh = MeshSeen(copy, plan.mesh.host.name, MeshSettings(), answering, DONE, host.workloads)
    return replace(host, workloads=(), mesh=mesh)


@pytest.mark.parametrize(
    ("target", "active", "old", "transition", "ready"),
    [
        pytest.param("", "", "", "InProgress", "False", id="nobody knows the first model yet"),
        pytest.param("Loading", "", "", "InProgress", "False", id="the first model is loading"),
        pytest.param("Loaded", "Loaded", "", "UpToDate", "True", id="it is loaded"),
        pytest.param("Standby", "Standby", "", "UpToDate", "True", id="it made room, and is ready"),
        pytest.param("FailedToLoad", "", "", "BlockedByFailedLoad", "False", id="it does not load"),
        pytest.param("Loading", "Loaded", "x", "InProgress", "True", id="the old one answers"),
        pytest.param("Loaded", "Loaded", "x", "InProgress", "True", id="about to take over"),
        pytest.param("FailedToLoad", "Loaded", "x", "BlockedByFailedLoad", "True",
                     id="the new one does not load, and the old one answers"),
    ],
)  # fmt: skip
def test_the_status_tells_both_models(make, target, active, old, transition, ready):
    made = snapshot(make)
    plan = build_plan(made)
    status = derive_status(made, plan, seen(make, plan, target, active, message="junk", old=old))
    model = status["modelStatus"]
    states = {"activeModelState": active, "targetModelState": target or "Pending"}
    assert (model["transitionStatus"], model["states"]) == (transition, states)
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert (conditions["Ready"], conditions["PredictorReady"]) == (ready, ready)
    assert ("lastFailureInfo" in model) is (target == "FailedToLoad")
    assert ("components" in status) is (ready == "True")


def test_a_failure_names_the_model_and_what_was_wrong(make):
    made = snapshot(make)
    plan = build_plan(made)
    failed = seen(make, plan, "FailedToLoad", message="it is junk")
    told = derive_status(made, plan, failed)["modelStatus"]["lastFailureInfo"]
    assert plan.mesh is not None
    assert told == {
        "reason": "ModelLoadFailed", "message": "it is junk", "modelRevisionName": plan.mesh.id,
        "location": "modelmesh-serving-mlserver-1.x-0", "time": "1970-01-01T00:00:50Z",
    }  # fmt: skip
    diagnosis = why(made, plan, failed)
    assert (diagnosis.link, diagnosis.reason) == ("load", "ModelLoadFailed")


def test_addresses_are_those_of_rest_and_grpc(make):
    made = snapshot(make)
    plan = build_plan(made)
    status = derive_status(made, plan, seen(make, plan, "Loaded", "Loaded"))
    rest, grpc = "http://iris.default.localhost:8080", "grpc://iris.default.localhost:8080"
    assert status["components"]["predictor"] == {"url": grpc, "restUrl": rest, "grpcUrl": grpc}
    assert status["url"] == grpc


def test_deriving_twice_gives_the_same(make):
    made = snapshot(make)
    plan = build_plan(made)
    observed = seen(make, plan, "FailedToLoad", "Loaded", old="x", message="junk")
    first = derive_status(made, plan, observed)
    again = replace(made, service={**made.service, "status": first}, now=made.now + 5)
    assert derive_status(again, plan, observed) == first


def test_the_way_to_ready_has_the_links_of_any_service(make):
    plan = build_plan(snapshot(make))
    names = [link.name for link in derive_chain(plan, seen(make, plan, "Loaded"))]
    assert names == ["download", "environment", "process", "load", "ready", "route"]
    unseen = derive_chain(plan, Observed())
    assert {link.state for link in unseen} == {LinkState.WAITING}


def test_a_stopped_service_says_so(make):
    made = snapshot(make)
    annotations = {**MODE, "serving.kserve.io/stop": "true"}
    metadata = {**made.service["metadata"], "annotations": annotations}
    made = replace(made, service={**made.service, "metadata": metadata})
    plan = build_plan(made)
    status = derive_status(made, plan, Observed())
    assert (plan.stopped, plan.mesh) == (True, None)
    assert {c["type"]: c["status"] for c in status["conditions"]}["Stopped"] == "True"


def test_the_plan_is_plain_values(make):
    plan = build_plan(snapshot(make))
    assert plan.mesh is not None
    json.dumps(plan.mesh.workload.template)

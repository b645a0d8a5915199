"""No field of a pod is dropped in silence: the table against all fields that Kubernetes knows."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from sampan.plan.types import Component, Plan, ServiceKey, Workload
from sampan.platforms.local.capabilities import (
    CAPABILITY_TABLE,
    Harmless,
    Honoured,
    Inside,
    Unsupported,
)
from sampan.platforms.local.image_table import read_image_table
from sampan.platforms.local.warnings import plan_warnings

IMAGES = read_image_table(Path("/nowhere/images.yaml"))()


def kubernetes_fields() -> dict[str, set[str]]:
    """Every type of the core API and its fields, read from the models' source."""
    spec = find_spec("lightkube.models")
    folder = Path(next(iter(spec.submodule_search_locations)))
    tree = ast.parse((folder / "core_v1.py").read_text())
    return {
        node.name: {
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


FIELDS = kubernetes_fields()
PYTHON_NAMES = {"from_": "from", "continue_": "continue", "except_": "except"}


@pytest.mark.parametrize("kind", sorted(set(CAPABILITY_TABLE) - {"Limits"}))
def test_every_field_has_a_row_and_every_row_a_field(kind):
    known = {PYTHON_NAMES.get(name, name) for name in FIELDS[kind]}
    assert set(CAPABILITY_TABLE[kind]) == known


def test_every_row_leads_on_or_says_something():
    for rows in CAPABILITY_TABLE.values():
        for name, row in rows.items():
            if isinstance(row, Inside):
                assert row.type in CAPABILITY_TABLE, name
            elif isinstance(row, Unsupported):
                assert row.sentence, name
                assert not row.sentence.endswith("."), name
            elif isinstance(row, Harmless):
                assert row.reason, name
            else:
                assert isinstance(row, Honoured), name


def warnings_of(pod: dict, container: dict | None = None) -> dict[str, str]:
    served = {"name": "kserve-container", "image": "kserve/sklearnserver", **(container or {})}
    template = {"metadata": {}, "spec": {"containers": [served], **pod}}
    workload = Workload(Component.PREDICTOR, "iris-predictor", template, "v1-x", 1, "iris")
    return dict(plan_warnings(Plan(ServiceKey("default", "iris"), (workload,)), IMAGES))


SHIPPED = {
    "args": ["--model_name=iris", "--model_dir=/mnt/models", "--http_port=8080"],
    "resources": {
        "requests": {"cpu": "1", "memory": "2Gi"},
        "limits": {"cpu": "1", "memory": "2Gi"},
    },
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "runAsNonRoot": True,
    },
}


def test_the_shipped_runtime_gives_no_warning():
    assert warnings_of({"restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}, SHIPPED) == {}


POD_ROWS = {
    "init containers": ({"initContainers": [{"name": "x"}]}, "spec.predictor.initContainers"),
    "host aliases": ({"hostAliases": [{"ip": "1.2.3.4"}]}, "spec.predictor.hostAliases"),
    "a restart policy that is not kept": (
        {"restartPolicy": "Never"}, "spec.predictor.restartPolicy",
    ),
    "a volume that needs a driver": (
        {"volumes": [{"name": "v", "nfs": {"server": "s"}}]}, "spec.predictor.volumes[0].nfs",
    ),
    "a path of the node": (
        {"volumes": [{"name": "v", "hostPath": {"path": "/data"}}]},
        "spec.predictor.volumes[0].hostPath",
    ),
    "a field that is not known at all": ({"fromTheFuture": 1}, "spec.predictor.fromTheFuture"),
    "a second container": (
        {"containers": [{"name": "kserve-container", "image": "kserve/sklearnserver"},
                        {"name": "sidecar", "image": "x"}]},
        "spec.predictor.containers[1]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", POD_ROWS)
def test_named_with_its_path_is(row):
    pod, path = POD_ROWS[row]
    assert path in warnings_of(pod)


CONTAINER_ROWS = {
    "a GPU": (
        {"resources": {"limits": {"nvidia.com/gpu": "1"}}}, ".resources.limits.nvidia.com/gpu",
    ),
    "a hook": ({"lifecycle": {"preStop": {"exec": {}}}}, ".lifecycle.preStop"),
    "a privileged container": (
        {"securityContext": {"privileged": True}}, ".securityContext.privileged",
    ),
    "a probe of another host": (
        {"livenessProbe": {"httpGet": {"port": 1, "host": "example.com"}}},
        ".livenessProbe.httpGet.host",
    ),
    "a sub-path with variables": (
        {"volumeMounts": [{"name": "v", "mountPath": "/x", "subPathExpr": "$(A)"}]},
        ".volumeMounts[0].subPathExpr",
    ),
    "a UDP port": (
        {"ports": [{"containerPort": 53, "protocol": "UDP"}]}, ".ports[0].protocol",
    ),
    "a field of the pod that has no value here": (
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.x"}}}]},
        ".env[0].valueFrom.fieldRef",
    ),
    "a resource that the container does not name": (
        {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]},
        ".env[0].valueFrom.resourceFieldRef",
    ),
    "a command that cannot know its port": ({"command": ["serve"]}, ".ports"),
}  # fmt: skip


@pytest.mark.parametrize("row", CONTAINER_ROWS)
def test_named_with_its_path_in_the_container_is(row):
    container, path = CONTAINER_ROWS[row]
    assert f"spec.predictor.containers[0]{path}" in warnings_of({}, container)


@pytest.mark.parametrize(
    "container",
    [{"command": ["serve", "--port=8080"]}, {"command": ["sh", "-c", "serve $PORT"]}],
    ids=["a port in its args", "the variable PORT"],
)
def test_a_command_that_names_its_port_gives_no_warning(container):
    assert warnings_of({}, container) == {}

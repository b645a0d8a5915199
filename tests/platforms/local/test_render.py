"""From a plan to what should run here, and from a pod template to a process."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.plan.types import (
    Backend,
    Blocked,
    Component,
    ModelSource,
    Plan,
    Route,
    ServiceKey,
    Workload,
)
from sampan.platforms.local.container_env import Pod, ValueRef, make_entries, resolve
from sampan.platforms.local.container_paths import (
    Mount,
    rewrite_paths,
    select_file_system,
)
from sampan.platforms.local.container_ports import rewrite_ports, select_ports
from sampan.platforms.local.images import ImageTable, LocalCommand
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.process import Zygote
from sampan.platforms.local.process_spec import Machine, make_process
from sampan.platforms.local.render import render, render_workload

SERVICE = ServiceKey("default", "iris")
SKLEARN = LocalCommand(
    image="kserve/sklearnserver",
    argv=("{python}", "-m", "sampan.app.serve", "--runtime=sklearn"),
    requirements=("scikit-learn>=1.4",),
    package="scikit-learn",
    preload=("sklearn",),
    entry="sampan.app.serve:fork_main",
    entry_arguments=("--runtime=sklearn",),
    health_path="/v2/health/ready",
    port_flags=("--http_port",),
    trust_arguments=("--trust",),
)
IMAGES = ImageTable((SKLEARN,))
LAYOUT = Layout(Path("/state"), Path("/cache"))
MACHINE = Machine(LAYOUT, {"PATH": "/usr/bin", "HOME": "/home/me"}, "/env/bin/python")
ROOT = "/state/pods/default/r-0/root"
ARGS = ["--model_name=iris", "--model_dir=/mnt/models", "--http_port=8080"]


def workload(container=None, *, pod=None, metadata=None, models=(), **changes) -> Workload:
    served = {"name": "kserve-container", "image": "kserve/sklearnserver:latest", "args": ARGS}
    spec = {"containers": [{**served, **(container or {})}], **(pod or {})}
    template = {"metadata": metadata or {}, "spec": spec}
    return Workload(Component.PREDICTOR, "iris-predictor", template, "v1-a", 1, "iris",
                    models=models, **changes)  # fmt: skip


def process(container=None, **more):
    return make_process(
        render_workload(SERVICE, workload(container, **more), IMAGES), "r-0", MACHINE
    )


def env_of(made, **values) -> dict[str, str]:
    env, missing = resolve(made.entries, values)
    assert missing == ""
    return env


def test_the_variable_of_a_place_names_where_its_files_are():
    """KServe's pod webhook does it, so that a model file reads one variable everywhere."""
    env = {"env": [{"name": "STORAGE_URI", "value": "s3://b/m"}]}
    assert env_of(process(env, models=(ModelSource("s3://b/m"),)))["STORAGE_URI"] == (
        f"{ROOT}/mnt/models"
    )
    assert env_of(process(env))["STORAGE_URI"] == "s3://b/m"


# The plan


def test_a_stopped_service_has_no_workload_and_no_route():
    desired = render(Plan(SERVICE, (workload(),), stopped=True), IMAGES)
    assert (desired.workloads, desired.route, desired.hold) == ((), None, False)


def test_a_blocked_plan_holds_what_runs():
    assert render(Plan(SERVICE, blocked=Blocked("X", "m")), IMAGES).hold


def test_the_shares_of_a_route_are_clusters_of_its_workloads():
    route = Route(("iris.default.localhost",), "/serving/default/iris",
                  (Backend("iris-predictor"),), 30)  # fmt: skip
    made = render(Plan(SERVICE, (workload(),), route), IMAGES).route
    assert made is not None
    assert made.name == "default/iris"
    assert [(s.cluster, s.weight) for s in made.shares] == [("default/iris-predictor", 100)]
    assert made.timeout_seconds == 30


# Whether it can run here


def test_a_known_image_runs_in_an_environment_of_its_requirements():
    made = render_workload(SERVICE, workload(), IMAGES)
    assert made.requirements == ("scikit-learn>=1.4",)
    assert made.health_path == "/v2/health/ready"
    assert made.problem is None


def test_a_version_as_tag_reaches_the_requirements():
    made = render_workload(SERVICE, workload({"image": "kserve/sklearnserver:1.5.2"}), IMAGES)
    assert made.requirements == ("scikit-learn==1.5.2",)


def test_packages_of_the_services_own_come_beside_those_of_the_runtime():
    asked = {"annotations": {"serving.sampan.dev/requirements": "pandas>=2\nscikit-learn>=1.4\n"}}
    made = render_workload(SERVICE, workload(metadata=asked), IMAGES)
    assert made.requirements == ("scikit-learn>=1.4", "pandas>=2")
    assert made.problem is None


def test_packages_that_are_no_plain_requirements_are_a_problem_by_name():
    asked = {"annotations": {"serving.sampan.dev/requirements": "-r secrets.txt"}}
    problem = render_workload(SERVICE, workload(metadata=asked), IMAGES).problem
    assert problem is not None
    assert problem.reason == "EnvironmentFailed"
    assert '"-r secrets.txt" is no plain requirement' in problem.message


PROBLEMS = {
    "an image that nothing stands for": (
        {"image": "nvcr.io/nvidia/tritonserver:23.05-py3"}, {}, "ImageNotRunnable",
        ['"nvcr.io/nvidia/tritonserver:23.05-py3"', '"kserve/sklearnserver"', "images.yaml"],
    ),
    "a version that the runtime cannot do": (
        {"image": "kserve/sklearnserver:0.24.1"}, {}, "RuntimeVersionNotSupported",
        ['"0.24.1"', "runtimeVersion"],
    ),
    "a transformer beside the predictor that listens where it does": (
        {},
        {"containers": [
            {"name": "kserve-container", "command": ["serve"]},
            {"name": "transformer-container", "command": ["serve"]},
        ]},
        "PortTwiceInPod", ['"transformer-container" and "kserve-container"', '"8080"', "args"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", PROBLEMS)
def test_a_problem_names_the_value_and_the_mend(row):
    container, pod, reason, words = PROBLEMS[row]
    problem = render_workload(SERVICE, workload(container, pod=pod), IMAGES).problem
    assert problem is not None
    assert problem.reason == reason
    for word in words:
        assert word in problem.message


def test_an_unknown_image_with_a_command_runs_that_command():
    made = render_workload(SERVICE, workload({"image": "x", "command": ["serve"]}), IMAGES)
    assert (made.problem, made.requirements, made.program) == (None, None, "serve")


# The process


def test_a_known_image_is_forked_with_the_containers_args():
    spec = process(models=(ModelSource("file:///m"),)).spec
    assert spec.zygote == Zygote("/env/bin/python", ("sklearn",), "sampan.app.serve:fork_main")
    assert spec.argv == (
        "/env/bin/python", "--runtime=sklearn", "--model_name=iris",
        f"--model_dir={ROOT}/mnt/models", "--http_port=$(SAMPAN_PORT_8080)",
    )  # fmt: skip
    assert (spec.ports, spec.http_port) == ((8080,), 8080)


def test_a_trusted_model_is_told_to_the_server():
    assert "--trust" in process(models=(ModelSource("s3://m", trusted=True),)).spec.argv
    assert "--trust" not in process(models=(ModelSource("s3://m"),)).spec.argv


def test_args_without_a_port_get_one():
    assert process({"args": ["--model_name=x"]}).spec.argv[-1] == "--http_port=$(SAMPAN_PORT_8080)"


def test_a_command_in_the_template_replaces_the_entrypoint():
    spec = process({"command": ["python", "-m", "mine"], "args": ["--port", "8080"]}).spec
    assert spec.zygote is None
    assert spec.argv == ("python", "-m", "mine", "--port", "$(SAMPAN_PORT_8080)")


def test_readiness_is_the_runtimes_where_the_template_has_none():
    http = {"httpGet": {"path": "/v2/health/ready", "port": 8080}}
    assert process().spec.readiness == http


def test_readiness_of_a_command_is_a_connection_where_the_template_has_none():
    readiness = process({"image": "x", "command": ["serve"]}).spec.readiness
    assert readiness is not None
    assert readiness["tcpSocket"] == {"port": 8080}


def test_probes_name_ports_by_number():
    probe = {"httpGet": {"path": "/x", "port": "web"}, "periodSeconds": 3}
    spec = process({"ports": [{"name": "web", "containerPort": 9001}], "livenessProbe": probe,
                    "readinessProbe": probe, "startupProbe": probe}).spec  # fmt: skip
    expected = {"httpGet": {"path": "/x", "port": 9001}, "periodSeconds": 3}
    assert (spec.liveness, spec.readiness, spec.startup) == (expected,) * 3


def test_the_gateway_asks_what_the_readiness_probe_asks():
    probe = {"httpGet": {"path": "/ready", "port": 8080}}
    made = render_workload(
        SERVICE, workload({"image": "x", "command": ["s"], "readinessProbe": probe}), IMAGES
    )
    assert made.health_path == "/ready"


@pytest.mark.parametrize(("given_", "seconds"), [(None, 30.0), (0, 0.0), (5, 5.0)])
def test_the_grace_is_the_pods(given_, seconds):
    pod = {} if given_ is None else {"terminationGracePeriodSeconds": given_}
    assert process(pod=pod).spec.grace_seconds == seconds


# Ports

PORTS = select_ports({"ports": [{"containerPort": 8080}, {"name": "grpc", "containerPort": 9000}]},
                     None)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", "$(SAMPAN_PORT_8080)"),
        ("--port=8080", "--port=$(SAMPAN_PORT_8080)"),
        ("0.0.0.0:9000", "127.0.0.1:$(SAMPAN_PORT_9000)"),
        ("--host=0.0.0.0", "--host=127.0.0.1"),
        ("http://localhost:8080/v1", "http://localhost:$(SAMPAN_PORT_8080)/v1"),
        ("18080", "18080"),
        ("--batch=80801", "--batch=80801"),
        ("model-8080", "model-8080"),
        ("10.0.0.0", "10.0.0.0"),
    ],
)
def test_a_port_is_rewritten_where_it_is_one(text, expected):
    assert rewrite_ports(text, PORTS) == expected


def test_the_http_port_is_the_first_that_is_not_grpc():
    container = {"ports": [{"name": "h2c", "containerPort": 9000}, {"containerPort": 8081}]}
    assert select_ports(container, None).http == 8081


def test_a_port_in_the_args_of_a_known_server_counts():
    assert select_ports({"args": ["--http_port", "8085"]}, SKLEARN).all == (8085,)


# Paths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/mnt/models", f"{ROOT}/mnt/models"),
        ("--dir=/mnt/models/a.bin", f"--dir={ROOT}/mnt/models/a.bin"),
        ("a:/mnt/models:b", f"a:{ROOT}/mnt/models:b"),
        ("/mnt/models2", "/mnt/models2"),
        ("/x/mnt/models", "/x/mnt/models"),
        ("/mnt/models/lora/x", f"{ROOT}/mnt/models/lora/x"),
    ],
)
def test_a_mount_path_is_rewritten_where_it_is_a_whole_path(text, expected):
    sources = [ModelSource("a"), ModelSource("b", "/mnt/models/lora")]
    files = select_file_system({}, {}, sources)
    assert rewrite_paths(text, files, LAYOUT, (SERVICE, "r-0")) == expected


@given(st.lists(st.sampled_from(["..", ".", "a", "", "b..c", "/"]), max_size=8))
def test_no_mount_path_leaves_the_replicas_folder(parts):
    mount = {"name": "v", "mountPath": "/" + "/".join(parts)}
    files = select_file_system({"volumes": [{"name": "v", "emptyDir": {}}]},
                               {"volumeMounts": [mount]}, [])  # fmt: skip
    for found in files.mounts:
        place = LAYOUT.inside(SERVICE, "r-0", found.path)
        assert ".." not in place.parts
        assert place.is_relative_to(ROOT)


def test_a_sub_path_that_climbs_is_not_mounted():
    mount = {"name": "v", "mountPath": "/v", "subPath": "../../etc"}
    files = select_file_system({"volumes": [{"name": "v", "emptyDir": {}}]},
                               {"volumeMounts": [mount]}, [])  # fmt: skip
    assert files.mounts == ()


def test_the_model_stands_before_a_volume_at_the_same_path():
    mounts = [{"name": "v", "mountPath": "/mnt/models"}]
    pod = {"volumes": [{"name": "v", "emptyDir": {}}]}
    files = select_file_system(pod, {"volumeMounts": mounts}, [ModelSource("a")])
    assert files.mounts == (Mount("/mnt/models", model=0),)


# Variables


def test_only_what_a_process_needs_is_inherited_and_its_threads_follow_the_cpu_limit():
    env = env_of(process({"resources": {"limits": {"cpu": "1500m"}}}))
    assert env["OMP_NUM_THREADS"] == "2"
    assert env["HOSTNAME"] == "r-0"
    assert env["PATH"] == "/env/bin:/usr/bin"
    assert env["PORT"] == "$(SAMPAN_PORT_8080)"


def test_a_variable_of_the_template_wins_over_ours():
    env = env_of(process({"env": [{"name": "OMP_NUM_THREADS", "value": "7"}],
                          "resources": {"limits": {"cpu": "2"}}}))  # fmt: skip
    assert env["OMP_NUM_THREADS"] == "7"


FIELDS = {
    "metadata.name": "r-0",
    "metadata.namespace": "default",
    "metadata.labels['app']": "x",
    "metadata.annotations['a.b/c']": "$5",
    "status.podIP": "127.0.0.1",
    "spec.serviceAccountName": "default",
}


@pytest.mark.parametrize("path", FIELDS)
def test_the_downward_api_tells(path):
    metadata = {"labels": {"app": "x"}, "annotations": {"a.b/c": "$5"}}
    item = {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}
    env = env_of(process({"env": [item]}, metadata=metadata))
    assert env["A"].replace("$$", "$") == FIELDS[path]


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        ({"resource": "limits.memory", "divisor": "1Mi"}, "2048"),
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
    ],
)
def test_a_resource_is_told_in_units_of_its_divisor_rounded_up(ref, value):
    item = {"name": "A", "valueFrom": {"resourceFieldRef": ref}}
    limits = {"cpu": "1500m", "memory": "2Gi"}
    assert env_of(process({"env": [item], "resources": {"limits": limits}}))["A"] == value


POD = Pod("r", "default", {}, {}, "default", "u")
DATA = {("ConfigMap", "c"): {"K": b"$(HOME)", "L": b"2"}, ("Secret", "s"): {"K": b"top"}}
ENV_FROM = {"envFrom": [{"prefix": "P_", "configMapRef": {"name": "c"}},
                        {"secretRef": {"name": "s"}}]}  # fmt: skip


def test_all_keys_of_a_source_become_variables_and_are_never_expanded():
    env, missing = resolve(make_entries(ENV_FROM, POD), DATA)
    assert missing == ""
    assert env == {"P_K": "$$(HOME)", "P_L": "2", "K": "top"}


def test_env_wins_over_env_from():
    container = {**ENV_FROM, "env": [{"name": "K", "value": "mine"}]}
    assert resolve(make_entries(container, POD), DATA)[0]["K"] == "mine"


def key_ref(**ref):
    return {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": ref}}]}


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (key_ref(name="absent", key="K"), 'configmap "absent" not found'),
        (key_ref(name="c", key="X"), 'couldn\'t find key "X" in ConfigMap "c"'),
        ({"envFrom": [{"secretRef": {"name": "absent"}}]}, 'secret "absent" not found'),
        (key_ref(name="absent", key="K", optional=True), ""),
        (key_ref(name="c", key="X", optional=True), ""),
    ],
)
def test_what_is_missing_is_named_as_kubelet_does_unless_it_is_optional(container, said):
    env, missing = resolve(make_entries(container, POD), DATA)
    assert missing == said
    assert "A" not in env


def test_references_are_known_before_they_are_read():
    entries = make_entries(key_ref(name="c", key="K"), POD)
    assert entries == (ValueRef("ConfigMap", "c", "K", "A"),)

"""A transformer in its predictor's pod: two processes of one replica."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sampan.plan.types import Component, Plan, ServiceKey, Workload
from sampan.platforms.local.collocation import make_replica_process
from sampan.platforms.local.container_env import ValueRef
from sampan.platforms.local.containers import CONTAINERS, MODULE, make_containers
from sampan.platforms.local.expansion import expand_command
from sampan.platforms.local.images import ImageTable, LocalCommand
from sampan.platforms.local.layout import Layout
from sampan.platforms.local.main_container import serving_containers
from sampan.platforms.local.pod_folder import make_env
from sampan.platforms.local.prober import Together
from sampan.platforms.local.process_spec import Machine
from sampan.platforms.local.render import render_workload
from sampan.platforms.local.warnings import plan_warnings

SERVICE = ServiceKey("default", "iris")
SKLEARN = LocalCommand(
    image="kserve/sklearnserver",
    argv=("{python}", "-m", "sampan.app.serve"),
    requirements=("scikit-learn>=1.4",),
    entry="sampan.app.serve:fork_main",
    health_path="/v2/health/ready",
    port_flags=("--http_port",),
)
IMAGES = ImageTable((SKLEARN,))
MACHINE = Machine(Layout(Path("/s"), Path("/c")), {"PATH": "/bin"}, "/env/bin/python", "/own/py")
# As KServe merges them: the runtime's args, then the service's, of which the last counts.
PREDICTOR = {
    "name": "kserve-container",
    "image": "kserve/sklearnserver",
    "args": ["--model_dir=/mnt/models", "--http_port=8080", "--http_port=8085"],
}
TRANSFORMER = {
    "name": "transformer-container",
    "image": "x/y",
    "command": ["python", "t.py"],
    "args": ["--predictor_host=localhost:8085", "--http_port=8080"],
    "env": [{"name": "PRICE", "value": "$$5"}],
    "readinessProbe": {"httpGet": {"path": "/v1/models/iris", "port": 8080}},
}


def make_workload(*containers: dict[str, object]) -> Workload:
    spec = {"containers": list(containers)}
    return Workload(Component.PREDICTOR, "iris-predictor", {"spec": spec}, "v1-a", 1, "iris")


def desired(*containers: dict[str, object]):
    return render_workload(
        SERVICE, make_workload(*(containers or (PREDICTOR, TRANSFORMER))), IMAGES
    )


def test_the_transformer_takes_the_requests_wherever_it_stands():
    for order in ((PREDICTOR, TRANSFORMER), (TRANSFORMER, PREDICTOR)):
        names = [c["name"] for c in serving_containers({"spec": {"containers": list(order)}})]
        assert names == ["transformer-container", "kserve-container"]


def test_the_model_s_environment_is_built_and_the_transformer_s_command_looked_up():
    found = desired()
    assert found.problem is None
    assert (found.requirements, found.program) == (("scikit-learn>=1.4",), "python")
    assert found.health_path == "/v1/models/iris"


def test_one_process_starts_both_which_share_their_ports():
    spec = make_replica_process(desired(), "r-0", MACHINE).spec
    assert spec.argv == ("/own/py", "-P", "-m", MODULE)
    assert (spec.http_port, set(spec.ports)) == (8080, {8080, 8085})
    assert spec.zygote is None


def test_each_has_arguments_and_variables_of_its_own():
    process = make_replica_process(desired(), "r-0", MACHINE)
    ports = {8080: 20_001, 8085: 20_002}
    own = expand_command((), make_env(process, {}), ports).env
    transformer, predictor = make_containers(json.loads(own[CONTAINERS]), own)
    assert (transformer.name, predictor.name) == ("transformer-container", "kserve-container")
    assert transformer.argv == (
        "python", "t.py", "--predictor_host=localhost:20002", "--http_port=20001",
    )  # fmt: skip
    assert predictor.argv[:3] == ("/env/bin/python", "-m", "sampan.app.serve")
    assert predictor.argv[-1] == "--http_port=20002"
    assert transformer.env["PRICE"] == "$5"
    assert "PRICE" not in predictor.env
    assert transformer.env["PORT"] == "20001"
    assert predictor.env["PORT"] == "20002"
    assert CONTAINERS not in predictor.env


def test_a_variable_from_a_secret_of_either_is_looked_up_and_in_no_argument():
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    secret = {**TRANSFORMER, "env": [{"name": "KEY", "valueFrom": source}]}
    process = make_replica_process(desired(PREDICTOR, secret), "r-0", MACHINE)
    assert ValueRef("Secret", "s", "k", "KEY") in process.containers[0].entries
    env = make_env(process, {("Secret", "s"): {"k": b"pa$$word"}})
    own = expand_command(process.spec.argv, env, {8080: 1, 8085: 2})
    assert make_containers(json.loads(own.env[CONTAINERS]), own.env)[0].env["KEY"] == "pa$$word"
    assert "pa$$word" not in " ".join(own.argv)


def test_the_replica_is_ready_when_both_are():
    spec = make_replica_process(desired(), "r-0", MACHINE).spec
    assert spec.readiness == TRANSFORMER["readinessProbe"]
    assert spec.beside == ({"httpGet": {"path": "/v2/health/ready", "port": 8085}},)
    told: list[bool] = []

    class Listener:
        def ready(self, *, ready: bool) -> None:
            told.append(ready)

    together = Together(2, Listener())  # type: ignore[arg-type]  # only `ready` is called
    for place, ready in ((0, True), (1, True), (1, True), (1, False), (0, False), (1, True)):
        together.turn(place, ready=ready)
    assert told == [False, True, False]


def test_what_is_not_done_for_containers_of_one_replica_is_told():
    limited = {
        **PREDICTOR,
        "resources": {"limits": {"memory": "1Gi"}},
        "livenessProbe": {"exec": {}},
    }
    workload = make_workload(limited, TRANSFORMER, {"name": "sidecar"})
    paths = [path for path, _ in plan_warnings(Plan(SERVICE, (workload,)), IMAGES)]
    assert "spec.predictor.containers[0].resources.limits.memory" in paths
    assert "spec.predictor.containers[0].livenessProbe" in paths
    assert "spec.predictor.containers[2]" in paths
    assert not [path for path in paths if path.startswith("spec.predictor.containers[1]")]


# The process that starts them, for real


def start(*scripts: str) -> subprocess.Popen[str]:
    told = [
        {"name": f"c{n}", "argv": [sys.executable, "-c", script], "env": {}, "cwd": "/"}
        for n, script in enumerate(scripts)
    ]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE],
        env={**os.environ, CONTAINERS: json.dumps(told)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


WAITS = "import time, os; print('up', os.getpid(), flush=True); time.sleep(60)"
ENDS = {
    "with a code": ("raise SystemExit(3)", 3, 'container "c1" ended with exit code "3"'),
    "well, which a server may not": ("pass", 1, 'container "c1" ended with exit code "0"'),
    "by a signal": ("import os; os.kill(os.getpid(), 9)", 137, 'exit code "137"'),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS.keys())
def test_one_that_ends_takes_the_other_with_it(case):
    script, code, words = case
    replica = start(WAITS, f"import time; time.sleep(0.3)\n{script}")
    said, _ = replica.communicate(timeout=30)
    assert replica.returncode == code
    assert words in said
    assert not Path(f"/proc/{said.split()[1]}").exists()


def test_a_command_that_is_not_there_ends_the_replica_with_its_name():
    told = json.dumps([{"name": "c", "argv": ["/no/such"], "env": {}, "cwd": "/"}])
    done = subprocess.run(
        [sys.executable, "-P", "-m", MODULE], env={**os.environ, CONTAINERS: told},
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 127
    assert done.stderr.startswith('container "c": "/no/such" cannot be started')


@pytest.mark.parametrize("whole_group", [True, False], ids=["the group is stopped", "it is"])
def test_a_stop_reaches_all_and_ends_well(whole_group):
    replica = start(WAITS, WAITS)
    assert replica.stdout is not None
    pids = [int(replica.stdout.readline().split()[1]) for _ in range(2)]
    (os.killpg if whole_group else os.kill)(replica.pid, signal.SIGTERM)
    assert replica.wait(timeout=30) == 0
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    replica.stdout.close()

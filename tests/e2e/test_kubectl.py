"""The real kubectl against a real `sampan up`: the commands that are promised, on real services."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from .conftest import KUBECTL, Sampan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on this machine"),
]
READY = "--for=condition=Ready"
JSONPATH = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"


@pytest.fixture(scope="module")
def served(sampan: Sampan, iris: Path) -> Sampan:
    sampan.kubectl("apply", "-f", "-", stdin=service(iris))
    sampan.kubectl("wait", READY, "isvc/iris", "--timeout=120s")
    return sampan


def service(iris: Path, name: str = "iris", extra: str = "") -> str:
    return f"""
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: {name}, labels: {{team: flowers}}}}
spec:
  predictor:
    model:
      modelFormat: {{name: sklearn}}
      storageUri: {iris}
{extra}"""


def test_wait_returns_when_a_prediction_passes(served: Sampan):
    status, answer = served.predict("iris", {"instances": [[6.8, 2.8, 4.8, 1.4]]})
    assert (status, answer) == (200, {"predictions": [1]})


def test_apply_of_the_same_file_says_unchanged(served: Sampan, iris: Path):
    assert "iris unchanged" in served.kubectl("apply", "-f", "-", stdin=service(iris))


def test_get_shows_the_columns_of_kserve(served: Sampan):
    header, row = served.kubectl("get", "isvc").splitlines()
    assert header.split()[:3] == ["NAME", "URL", "READY"]
    assert row.split()[0] == "iris"
    assert row.split()[1].startswith("http://iris.default.localhost:")
    assert row.split()[2] == "True"


def test_get_wide_yaml_and_name(served: Sampan):
    assert "iris" in served.kubectl("get", "isvc", "-o", "wide")
    assert "kind: InferenceService" in served.kubectl("get", "isvc", "iris", "-o", "yaml")
    assert (
        served.kubectl("get", "isvc", "-o", "name").strip()
        == "inferenceservice.serving.kserve.io/iris"
    )


def test_get_with_jsonpath_and_custom_columns(served: Sampan):
    assert served.kubectl("get", "isvc", "iris", "-o", JSONPATH) == "True"
    told = served.kubectl("get", "isvc", "-o", "custom-columns=N:.metadata.name,U:.status.url")
    assert told.splitlines()[1].split()[0] == "iris"


def test_get_by_label_and_across_namespaces(served: Sampan):
    assert "iris" in served.kubectl("get", "isvc", "-A", "-l", "team=flowers")
    assert "No resources found" in served.kubectl("get", "isvc", "-l", "team=trees", check=False)


def test_get_watch_shows_a_service_becoming_ready(served: Sampan, iris: Path):
    assert KUBECTL is not None
    command = [
        KUBECTL,
        "--context",
        "sampan",
        "get",
        "isvc",
        "watched",
        "-w",
        "-o",
        JSONPATH + "{'\\n'}",
    ]
    served.kubectl("apply", "-f", "-", stdin=service(iris, "watched"))
    watcher = subprocess.Popen(
        command, env=served.env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    timer = threading.Timer(60, lambda: os.killpg(watcher.pid, signal.SIGKILL))
    timer.start()
    assert watcher.stdout is not None
    seen = []
    for line in watcher.stdout:
        seen.append(line.strip())
        if line.strip() == "True":
            break
    timer.cancel()
    os.killpg(watcher.pid, signal.SIGKILL)
    watcher.communicate()
    served.kubectl("delete", "isvc", "watched")
    assert seen[-1] == "True"


def test_describe_tells_conditions_and_events(served: Sampan):
    told = served.kubectl("describe", "isvc", "iris")
    assert re.search(r"Type:\s+Ready", told)
    assert "InferenceServiceReady" in told


def test_logs_of_the_replica(served: Sampan):
    pod = served.kubectl("get", "pods", "-o", "name").splitlines()[0]
    assert 'model "iris" is ready' in served.kubectl("logs", pod)
    assert 'model "iris" is ready' in served.kubectl(
        "logs", "-l", "serving.kserve.io/inferenceservice=iris", "--tail=5"
    )


def test_logs_follow(served: Sampan):
    assert KUBECTL is not None
    pod = served.kubectl("get", "pods", "-o", "name").splitlines()[0]
    follower = subprocess.Popen(
        [KUBECTL, "--context", "sampan", "logs", "-f", pod],
        env=served.env,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(1.5)
    assert follower.poll() is None, "a followed log ended by itself"
    os.killpg(follower.pid, signal.SIGKILL)
    out, _ = follower.communicate()
    assert 'model "iris" is ready' in out


def test_pods_table(served: Sampan):
    header, row, *_ = served.kubectl("get", "pods").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[1:3] == ["1/1", "Running"]


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        pytest.param("merge", '{"metadata":{"annotations":{"by":"merge"}}}', id="a merge patch"),
        pytest.param(
            "json",
            '[{"op":"add","path":"/metadata/annotations/by","value":"json"}]',
            id="a JSON patch",
        ),
    ],
)
def test_patch(served: Sampan, kind: str, patch: str):
    served.kubectl("patch", "isvc", "iris", "--type", kind, "-p", patch)
    assert (
        served.kubectl("get", "isvc", "iris", "-o", "jsonpath={.metadata.annotations.by}") == kind
    )


def test_a_strategic_patch_merges_a_core_kind(served: Sampan):
    served.kubectl("create", "configmap", "shades", "--from-literal=a=1")
    served.kubectl("patch", "configmap", "shades", "-p", '{"data":{"b":"2"}}')
    data = json.loads(served.kubectl("get", "configmap", "shades", "-o", "json"))["data"]
    served.kubectl("delete", "configmap", "shades")
    assert data == {"a": "1", "b": "2"}


def test_edit_opens_the_object_and_stores_it(served: Sampan, tmp_path: Path):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/team: flowers/team: botany/' \"$1\"\n")
    editor.chmod(0o755)
    served.extra_env["KUBE_EDITOR"] = str(editor)
    try:
        assert "edited" in served.kubectl("edit", "isvc", "iris")
    finally:
        del served.extra_env["KUBE_EDITOR"]
    assert "iris" in served.kubectl("get", "isvc", "-l", "team=botany")
    served.kubectl("label", "isvc", "iris", "team=flowers", "--overwrite")


def test_diff_shows_what_apply_would_change_and_changes_nothing(served: Sampan, iris: Path):
    changed = service(iris).replace("team: flowers", "team: moss")
    told = served.kubectl("diff", "-f", "-", stdin=changed, check=False)
    assert re.search(r"^\+\s+team: moss$", told, re.MULTILINE)
    assert "No resources" in served.kubectl("get", "isvc", "-l", "team=moss", check=False)


def test_explain_knows_every_field_of_kserve(served: Sampan):
    told = served.kubectl("explain", "isvc.spec.predictor.model.modelFormat")
    assert "FIELDS:" in told
    assert "name" in told
    assert "KIND:       InferenceService" in told


def test_server_side_apply_owns_fields_and_conflicts(served: Sampan, iris: Path):
    mine = service(iris, "owned")
    served.kubectl("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=mine)
    other = mine.replace(f"storageUri: {iris}", "storageUri: /somewhere/else")
    told = served.kubectl(
        "apply", "--server-side", "--field-manager=two", "-f", "-", stdin=other, check=False
    )
    assert 'conflict with "one"' in told
    assert ".spec.predictor.model.storageUri" in told
    served.kubectl("delete", "isvc", "owned")


def test_a_dry_run_stores_nothing(served: Sampan, iris: Path):
    served.kubectl("apply", "--dry-run=server", "-f", "-", stdin=service(iris, "dry"))
    assert "NotFound" in served.kubectl("get", "isvc", "dry", check=False)


def test_an_unknown_field_is_refused_with_its_name(served: Sampan, iris: Path):
    wrong = service(iris, "wrong").replace("storageUri:", "storageURL:")
    told = served.kubectl("apply", "-f", "-", stdin=wrong, check=False)
    assert "spec.predictor.model.storageURL" in told
    assert "NotFound" in served.kubectl("get", "isvc", "wrong", check=False)


def test_a_field_that_a_laptop_cannot_honour_is_warned_about(served: Sampan, iris: Path):
    extra = "    nodeSelector: {disk: fast}\n"
    told = served.kubectl("apply", "-f", "-", stdin=service(iris, "picky", extra), check=False)
    served.kubectl("delete", "isvc", "picky")
    assert "Warning: spec.predictor.nodeSelector" in told


def test_delete_waits_until_nothing_runs(served: Sampan, iris: Path):
    served.kubectl("apply", "-f", "-", stdin=service(iris, "gone"))
    served.kubectl("wait", READY, "isvc/gone", "--timeout=60s")
    served.kubectl("delete", "isvc", "gone", "--timeout=60s")
    pods = json.loads(served.kubectl("get", "pods", "-o", "json"))["items"]
    assert [p for p in pods if p["metadata"]["name"].startswith("gone-")] == []


def test_a_namespace_holds_its_own_services(served: Sampan, iris: Path):
    served.kubectl("create", "namespace", "lab")
    served.kubectl("apply", "-n", "lab", "-f", "-", stdin=service(iris, "iris"))
    served.kubectl("wait", "-n", "lab", READY, "isvc/iris", "--timeout=60s")
    served.kubectl("delete", "namespace", "lab", "--timeout=60s")
    assert "NotFound" in served.kubectl("get", "isvc", "iris", "-n", "lab", check=False)


def test_stop_and_start_by_annotation(served: Sampan):
    served.kubectl("annotate", "isvc", "iris", "serving.kserve.io/stop=true")
    served.kubectl("wait", "--for=condition=Stopped", "isvc/iris", "--timeout=30s")
    deadline = time.monotonic() + 20
    while json.loads(served.kubectl("get", "pods", "-o", "json"))["items"]:
        assert time.monotonic() < deadline, "replicas of a stopped service still run"
        time.sleep(0.2)
    served.kubectl("annotate", "isvc", "iris", "serving.kserve.io/stop-")
    served.kubectl("wait", READY, "isvc/iris", "--timeout=60s")


def test_get_all_shows_services_and_replicas(served: Sampan):
    told = served.kubectl("get", "all")
    assert "inferenceservice.serving.kserve.io/iris" in told
    assert "pod/iris-" in told


def test_top_tells_what_the_replicas_use(served: Sampan):
    header, row, *_ = served.kubectl("top", "pods").splitlines()
    assert header.split() == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert row.split()[0].startswith("iris-")
    assert int(row.split()[2].removesuffix("Mi")) > 5


def test_a_token_opens_its_own_namespace_only(served: Sampan):
    served.kubectl("create", "namespace", "team")
    served.kubectl("create", "serviceaccount", "ann", "-n", "team")
    served.kubectl(
        "create", "rolebinding", "ann", "-n", "team", "--clusterrole=edit",
        "--serviceaccount=team:ann",
    )  # fmt: skip
    token = served.kubectl("create", "token", "ann", "-n", "team").strip()
    daemon = served.daemon
    base = f"http://{daemon['host']}:{daemon['port']}/api/v1/namespaces"

    def ask(namespace: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{base}/{namespace}/configmaps", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert (ask("team"), ask("default"), ask("kserve")) == (200, 403, 403)
    served.down()
    served.up()
    daemon = served.daemon
    base = f"http://{daemon['host']}:{daemon['port']}/api/v1/namespaces"
    assert ask("team") == 200, "a token outlives the daemon"
    served.kubectl("delete", "namespace", "team", "--timeout=60s")


def test_api_resources_lists_the_kinds(served: Sampan):
    told = served.kubectl("api-resources")
    assert re.search(r"inferenceservices\s+isvc\s+serving.kserve.io/v1beta1\s+true", told)

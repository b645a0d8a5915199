"""The real kubectl prunes, shows everything, measures, and is told what to use instead."""

from __future__ import annotations

import re
import shutil

import pytest

from sampan.api.scheme import REGISTRY
from sampan.apiserver.pod_metrics import make_pod_metrics
from sampan.apiserver.server import Settings

MAP = """
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, labels: {{set: {set}}}}}
"""
SERVICE = """
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: {name}, labels: {{set: {set}}}}}
spec: {{predictor: {{model: {{modelFormat: {{name: sklearn}}, storageUri: gs://models/a}}}}}}
"""


class Meter:
    """The edge: a platform that has measured one replica."""

    async def metrics(self):
        pod = {
            "metadata": {"name": "p1", "namespace": "default", "labels": {"app": "x"}},
            "spec": {"containers": [{"name": "kserve-container"}]},
        }
        return [make_pod_metrics(pod, 0.25, 300 * 1024 * 1024, (100.0, 100.5))]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, running_server, pod_of_tests):
    """A server of the real kinds, with a replica that is measured."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    folder = tmp_path_factory.mktemp("cluster")
    with running_server(folder, REGISTRY, settings=Settings(metrics=Meter())) as found:
        found.call(lambda: found.platform.show(pod_of_tests("p1")))
        found.run("apply", "-f", "-", stdin=texts(SERVICE, "shown", group="three"))
        yield found


def texts(template, *names, group):
    return "".join(template.format(name=name, set=group) for name in names)


def test_apply_prune_removes_what_is_no_longer_in_the_files(cluster):
    both = texts(MAP, "a", "b", group="one") + texts(SERVICE, "i", "j", group="one")
    cluster.run("apply", "-f", "-", stdin=both)
    kept = texts(MAP, "a", group="one") + texts(SERVICE, "i", group="one")
    said = cluster.run(
        "apply", "--prune", "-l", "set=one", "--prune-allowlist=core/v1/ConfigMap",
        "--prune-allowlist=serving.kserve.io/v1beta1/InferenceService", "-f", "-", stdin=kept,
    )  # fmt: skip
    assert "configmap/b pruned" in said
    assert "inferenceservice.serving.kserve.io/j pruned" in said
    assert "NotFound" in cluster.run("get", "isvc", "j", code=1)


def test_apply_prune_with_an_applyset_needs_no_list_of_kinds(cluster):
    apply = ("apply", "--prune", "--applyset=mine", "-n", "default", "-f", "-")
    both = texts(MAP, "q", group="two") + texts(SERVICE, "r", group="two")
    cluster.run(*apply, stdin=both, KUBECTL_APPLYSET="true")
    said = cluster.run(*apply, stdin=texts(MAP, "q", group="two"), KUBECTL_APPLYSET="true")
    assert "inferenceservice.serving.kserve.io/r pruned" in said


def test_get_all_shows_services_and_their_replicas(cluster):
    told = cluster.run("get", "all")
    assert "inferenceservice.serving.kserve.io/shown" in told
    assert "pod/p1" in told


def test_top_tells_what_a_replica_uses(cluster):
    told = [line.split() for line in cluster.run("top", "pods").splitlines()]
    assert told == [["NAME", "CPU(cores)", "MEMORY(bytes)"], ["p1", "250m", "300Mi"]]
    assert "kserve-container" in cluster.run("top", "pod", "p1", "--containers")
    assert "No resources found" in cluster.run("top", "pods", "-l", "app=y")
    assert "p1" in cluster.run("top", "pods", "-A", "-l", "app=x")


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("exec", "p1", "--", "ls"), "use a shell of your own"),
        (("port-forward", "pod/p1", "8080:80"), "already listens on this machine"),
        (("attach", "p1"), '"kubectl logs -f" follows what it prints'),
        (("cp", "p1:/a", "/nowhere/b"), "use a shell of your own"),
        (("scale", "isvc/shown", "--replicas=2"), 'has no subresource "scale"'),
        (("run", "x", "--image=y"), "change what they belong to"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_for_a_process_says_what_to_use(cluster, command, instead):
    said = cluster.run(*command, code=None)
    assert instead in said
    assert not re.search("panic|Traceback", said)

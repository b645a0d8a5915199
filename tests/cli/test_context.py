"""`sampan --context NAME`: the verbs on a cluster of the kubeconfig."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sampan.cli.cluster import read_cluster
from sampan.cli.main import main
from sampan.cli.output import CliError
from sampan.cli.why_cluster import _trouble

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A function that writes a kubeconfig with one context and makes it the user's."""

    def write(user: Any = None, cluster: Any = None, **more: Any) -> Path:
        server = {"server": "http://127.0.0.1:1", **(cluster or {})}
        config = {
            "clusters": [{"name": "c", "cluster": server}],
            "users": [{"name": "u", "user": user or {}}],
            "contexts": [{"name": "far", "context": {"cluster": "c", "user": "u"}}],
            **more,
        }
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(path))
        return path

    return write


def test_a_token_is_taken(kubeconfig: Callable[..., Path]) -> None:
    kubeconfig({"token": "t"})
    server = read_cluster("far")
    assert (server.host, server.port, server.token, server.tls) == ("127.0.0.1", 1, "t", None)


def test_a_token_s_file_is_beside_the_kubeconfig(
    kubeconfig: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("t\n")
    kubeconfig({"tokenFile": "token"})
    assert read_cluster("far").token == "t"


def test_a_plugin_is_asked_for_a_token(kubeconfig: Callable[..., Path]) -> None:
    script = "import json; print(json.dumps({'status': {'token': 'from-a-plugin'}}))"
    plugin = {"command": sys.executable, "args": ["-c", script], "apiVersion": "v1"}
    kubeconfig({"exec": plugin})
    assert read_cluster("far").token == "from-a-plugin"


def test_the_first_file_that_has_the_context_counts(
    kubeconfig: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kubeconfig({"token": "t"})
    (tmp_path / "other").write_text("contexts: []")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{tmp_path / 'other'}:{path}")
    assert read_cluster("far").token == "t"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        pytest.param({"contexts": []}, 'no context "far"', id="no such context"),
        pytest.param({"clusters": []}, 'has no "c" in its clusters', id="no such cluster"),
        pytest.param({"users": []}, 'has no "u" in its users', id="no such user"),
        pytest.param({"cluster": {"server": "ftp://x"}}, 'is "ftp://x"', id="no server"),
        pytest.param({"user": {"tokenFile": "x"}}, "which is no file", id="no such file"),
        pytest.param(
            {"user": {"exec": {"command": "/nonexistent"}}},
            "gave nothing",
            id="a plugin that fails",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(
    kubeconfig: Callable[..., Path], config: dict[str, Any], text: str
) -> None:
    kubeconfig(**config)
    with pytest.raises(CliError) as told:
        read_cluster("far")
    assert text in told.value.message


def test_a_cluster_that_does_not_answer_is_named(
    kubeconfig: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig()
    with pytest.raises(SystemExit) as ended:
        main(["--context", "far", "get", "isvc"])
    assert ended.value.code == 3
    assert 'the cluster "far" at 127.0.0.1:1 does not answer' in capsys.readouterr().err


@pytest.fixture(autouse=True)
def forget_context(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SAMPAN_CONTEXT", "")
    yield
    monkeypatch.delenv("SAMPAN_CONTEXT", raising=False)


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "iris-1"}, "status": status}


def container(state: Any, name: str = "kserve-container") -> list[dict[str, Any]]:
    return [{"name": name, "state": state}]


@pytest.mark.parametrize(
    ("found", "reason", "message"),
    [
        pytest.param(
            pod(containerStatuses=container({"waiting": {"reason": "Err", "message": "m"}})),
            "Err", "iris-1: m", id="an image that cannot be pulled",
        ),
        pytest.param(
            pod(initContainerStatuses=container({"terminated": {"exitCode": 1}}, "download")),
            "Error", "iris-1: exit code 1", id="a download that failed",
        ),
        pytest.param(
            pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                             "message": "no GPU"}]),
            "Unschedulable", "iris-1: no GPU", id="a pod without a place",
        ),
        pytest.param(
            pod(containerStatuses=container({"waiting": {"reason": "ContainerCreating"}})),
            None, "", id="a pod on its way",
        ),
        pytest.param(pod(containerStatuses=container({"running": {}})), None, "", id="it runs"),
    ],
)  # fmt: skip
def test_what_keeps_a_pod_from_being_ready(found: Any, reason: str | None, message: str) -> None:
    trouble = _trouble(found)
    assert (trouble or {}).get("reason") == reason
    assert (trouble or {}).get("message", "") == message


def test_a_certificate_s_data_is_taken(kubeconfig: Callable[..., Path], tmp_path: Path) -> None:
    from sampan.machinery.authority import make_pair

    pair = make_pair("a", ("127.0.0.1",), 1_800_000_000.0, 1)
    certificate, key, authority = (
        base64.b64encode(part).decode() for part in (pair.certificate, pair.key, pair.authority)
    )
    encoded = {"client-certificate-data": certificate, "client-key-data": key}
    cluster = {"server": "https://127.0.0.1:2/prefix", "certificate-authority-data": authority}
    kubeconfig(encoded, cluster)
    server = read_cluster("far")
    assert server.tls is not None
    assert (server.prefix, server.port) == ("/prefix", 2)
    assert json.dumps(server.context) == '"far"'

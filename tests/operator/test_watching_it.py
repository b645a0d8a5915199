"""What an operator tells of its own work: traces, and the stacks of what it is doing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.operator.played_cluster import PlayedCluster, rested, until
from tests.operator.test_process import free_port, is_served, leads, started
from tests.server.test_tracing import ERROR, Receiver

from sampan.apiserver.messages import Reply, Request, make_error
from sampan.machinery.errors import Forbidden


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """An OTLP receiver to which every process started from now on sends its spans."""
    with Receiver() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "sampan-operator")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


def attributes(span: Any) -> dict[str, str]:
    return {a.key: a.value.string_value for a in span.attributes}


async def test_a_reconcile_is_a_trace_with_a_span_for_each_of_its_calls(
    cluster: PlayedCluster, make_service: Any, traced: Receiver
) -> None:
    async def forbidden(request: Request) -> Reply | None:
        refused = request.method == "PATCH" and "/horizontalpodautoscalers/" in request.path
        return make_error(Forbidden("not allowed")) if refused else None

    cluster.door.fault = forbidden
    async with started(cluster, "--webhook-port=0") as operator:
        await until(lambda: leads(cluster), 60)
        await cluster.create(make_service())
        await until(lambda: applied(cluster), 60, lambda: "\n".join(operator.lines))
        await rested(cluster)
        await operator.stop()
    assert traced.services == {"sampan-operator"}
    roots = {s.span_id: s for s in traced.spans if not s.parent_span_id}
    assert {s.name for s in roots.values()} == {"reconcile inferenceservices"}
    [told] = {(attributes(s)["k8s.namespace.name"], attributes(s)["sampan.object.name"])
              for s in roots.values()}  # fmt: skip
    assert told == ("ml", "iris")
    calls = [s for s in traced.spans if s.parent_span_id]
    assert all(s.parent_span_id in roots for s in calls)
    [deployment] = [s for s in calls if s.name == "PATCH deployments"]
    path = "/apis/apps/v1/namespaces/ml/deployments/iris-predictor"
    assert attributes(deployment) == {"http.request.method": "PATCH", "url.path": path}
    failed = {s.name for s in calls if s.status.code == ERROR}
    assert "PATCH horizontalpodautoscalers" in failed
    assert "PATCH deployments" not in failed


async def applied(cluster: PlayedCluster) -> bool:
    return len(await cluster.children("ml")) == 4


async def test_its_stacks_are_shown_on_loopback_and_by_a_signal(cluster: PlayedCluster) -> None:
    async with started(cluster, "--webhook-port=0", f"--debug-port={free_port()}") as operator:
        await until(lambda: leads(cluster), 60)
        url = await operator.door("stacks")
        async with httpx.AsyncClient(trust_env=False) as client:
            found = await client.get(url)
            elsewhere = await client.get(url + "/elsewhere")
            posted = await client.post(url)
        assert (found.status_code, elsewhere.status_code, posted.status_code) == (200, 404, 405)
        assert 'thread "MainThread"' in found.text
        assert "in _lead" in found.text, "what waits is shown down to where it waits"
        operator.process.send_signal(signal.SIGUSR1)

        async def logged() -> bool:
            lines = "\n".join(operator.lines)
            return "asked by SIGUSR1" in lines and 'thread "MainThread"' in lines

        await until(logged, 60)
        assert await operator.stop() == 0, "the signal ends nothing"


async def test_without_being_asked_it_shows_no_stacks(
    cluster: PlayedCluster, make_service: Any
) -> None:
    async with started(cluster, "--webhook-port=0") as operator:
        await cluster.create(make_service())
        await until(lambda: is_served(cluster), 60)
        assert not [line for line in operator.lines if "stacks" in line]
        url = await operator.door("health and metrics")
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{url}/debug/stacks")).status_code == 404

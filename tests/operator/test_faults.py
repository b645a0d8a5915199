"""What may go wrong between the operator and its cluster, and that it ends well or says so.

Elsewhere are: an operator that dies at any call (test_killed), two operators and clocks that
disagree (test_election, test_overtaken), watches cut at each event, objects that are overtaken by
their own end, and kinds that come and go (test_overtaken), children changed by hand and services
made again under their name (test_steady), certificates that expire (tests/webhooks/test_trust), and
all of it at random (test_histories).
"""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.operator.conftest import CONFIG, RUNTIME, config_map
from tests.operator.played_cluster import (
    TOKEN,
    PlayedCluster,
    conditions_of,
    is_ready,
    played_cluster,
    rested,
    until,
    write_kubeconfig,
)

from sampan.apiserver.messages import Reply, Request, make_error
from sampan.machinery.errors import ApiError, Conflict, Expired, Forbidden, NotFound
from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.operator.connection import ConfigurationError, connect
from sampan.platforms.kubernetes.kinds import HTTP_ROUTES, KNATIVE_SERVICES

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")


async def becomes_ready(cluster: PlayedCluster, name: str = "iris"):
    async def ready():
        found = await cluster.get(SERVICES, "ml", name)
        return found if is_ready(found) else None

    return await until(ready, 60)


class TooMany(ApiError):
    code, reason = 429, "TooManyRequests"


class Internal(ApiError):
    code, reason = 500, "InternalError"


class Full(ApiError):
    """What etcd says at its quota."""

    code, reason = 500, "InternalError"


def answering(error: ApiError, times: int, *methods: str):
    """A fault: the first `times` requests of these methods are answered with an error."""
    left = times

    async def fault(request: Request) -> Reply | None:
        nonlocal left
        if left and request.method in methods and "leases" not in request.path:
            left -= 1
            return make_error(error)
        return None

    return fault


WRITES = ("PATCH", "PUT", "POST")
UNREACHED = (
    "Internal error occurred: failed calling webhook "
    '"inferenceservice.kserve-webhook-server.defaulter": failed to call webhook: Post '
    '"https://sampan-webhook.kserve.svc:443/mutate": dial tcp:'
)
"""What an API server says (Kubernetes, Dynamic Admission Control) whose webhook must answer."""


@pytest.mark.parametrize(
    ("error", "methods"),
    [
        pytest.param(Conflict("changed meanwhile"), WRITES, id="writes are in conflict (409)"),
        pytest.param(TooMany("busy"), WRITES, id="writes are too many (429)"),
        pytest.param(TooMany("busy"), ("GET",), id="reads are too many (429)"),
        pytest.param(Internal("broken"), WRITES, id="writes fail (500)"),
        pytest.param(Full("etcdserver: mvcc: database space exceeded"), WRITES, id="etcd is full"),
        pytest.param(Internal(f"{UNREACHED} connection refused"), WRITES, id="webhooks are down"),
        pytest.param(
            Internal(f"{UNREACHED} x509: certificate has expired"),
            WRITES,
            id="their certificate has expired",
        ),
        pytest.param(Internal("broken"), ("GET",), id="reads fail (500)"),
        pytest.param(Expired("too old"), ("GET",), id="what is watched is too old (410)"),
    ],
)
async def test_an_api_server_that_refuses_for_a_while_is_tried_again(
    error, methods, cluster, make_service
):
    cluster.door.fault = answering(error, 7, *methods)
    await cluster.start_operator()
    await cluster.create(make_service())
    await becomes_ready(cluster)
    names = [(o["kind"], o["metadata"]["name"]) for o in await cluster.children("ml")]
    assert len(names) == len(set(names)) == 5


async def test_watches_that_are_cut_are_resumed_and_nothing_is_missed(cluster, make_service):
    await cluster.start_operator()
    await rested(cluster)
    for number in range(5):
        await cluster.create(make_service(f"iris-{number}"))
        cluster.cut_connections()
        await asyncio.sleep(0.05)
    for number in range(5):
        await becomes_ready(cluster, f"iris-{number}")


async def test_a_watch_that_is_too_old_starts_with_a_list(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    await becomes_ready(cluster)

    async def expired(request: Request) -> Reply | None:
        if request.query.get("watch") and request.query.get("resourceVersion"):
            cluster.door.fault = None
            return make_error(Expired("too old resource version"))
        return None

    cluster.door.fault = expired
    cluster.cut_connections()
    await cluster.create(make_service("later"))
    await becomes_ready(cluster, "later")


@pytest.mark.slow
async def test_a_kind_that_is_missing_is_named_and_waited_for(tmp_path, make_service):
    async with played_cluster(tmp_path) as cluster:
        cluster.door.missing = {HTTP_ROUTES.id}
        await cluster.create(config_map(CONFIG), RUNTIME)
        await cluster.start_operator()
        await cluster.create(make_service())

        async def told():
            found = conditions_of(await cluster.get(SERVICES, "ml", "iris"))
            return found.get("IngressReady", {}).get("reason") == "KindNotInstalled" and found

        conditions = await until(told)
        message = conditions["IngressReady"]["message"]
        assert 'no HTTPRoute of "gateway.networking.k8s.io/v1"' in message
        assert "install the Gateway API" in message
        assert conditions["PredictorReady"]["status"] == "True"
        cluster.door.missing = set()
        await becomes_ready(cluster)


async def test_knative_that_is_missing_is_named_by_its_component(tmp_path, make_service):
    async with played_cluster(tmp_path) as cluster:
        cluster.door.missing = {KNATIVE_SERVICES.id}
        config = {**CONFIG, "deploy": '{"defaultDeploymentMode": "Knative"}'}
        await cluster.create(config_map(config), RUNTIME)
        await cluster.start_operator()
        await cluster.create(make_service())

        async def told():
            found = conditions_of(await cluster.get(SERVICES, "ml", "iris"))
            return found.get("PredictorReady", {}).get("reason") == "KindNotInstalled" and found

        conditions = await until(told)
        assert "install Knative Serving" in conditions["PredictorReady"]["message"]

        async def recorded():
            events = (await cluster.store.list("events", "ml")).items
            return [e for e in events if e["reason"] == "KindNotInstalled"]

        await until(recorded)


async def test_a_right_that_is_missing_is_named_with_verb_and_resource(cluster, make_service):
    text = (
        'deployments.apps "iris-predictor" is forbidden: User "operator" cannot patch resource '
        '"deployments" in API group "apps" in the namespace "ml"'
    )

    async def forbidden(request: Request) -> Reply | None:
        refused = request.method == "PATCH" and "/deployments/" in request.path
        return make_error(Forbidden(text)) if refused else None

    cluster.door.fault = forbidden
    await cluster.start_operator()
    await cluster.create(make_service())

    async def told():
        found = conditions_of(await cluster.get(SERVICES, "ml", "iris"))
        return found.get("PredictorReady", {}).get("reason") == "ReconcileFailed" and found

    message = (await until(told))["PredictorReady"]["message"]
    assert 'cannot patch resource "deployments"' in message
    assert "the operator's role must allow that" in message
    assert "iris-predictor" in str(await cluster.children("ml")), "the rest is made all the same"


async def test_an_object_that_the_server_finds_invalid_is_told_in_its_words(cluster, make_service):
    class Unfit(ApiError):
        code, reason = 422, "Invalid"

    async def invalid(request: Request) -> Reply | None:
        wrong = request.method == "PATCH" and "horizontalpodautoscalers" in request.path
        return make_error(Unfit('HPA "x" is invalid: spec.maxReplicas: 0')) if wrong else None

    cluster.door.fault = invalid
    await cluster.start_operator()
    await cluster.create(make_service())

    async def told():
        found = conditions_of(await cluster.get(SERVICES, "ml", "iris"))
        return "spec.maxReplicas" in found.get("PredictorReady", {}).get("message", "")

    await until(told)


async def test_a_configuration_with_mistakes_leaves_the_one_of_before(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    await becomes_ready(cluster)
    found = await cluster.store.get(Key("configmaps", "kserve", "inferenceservice-config"))
    found["data"]["deploy"] = "{no json"
    found["metadata"].pop("resourceVersion")
    await cluster.store.update("configmaps", found)
    await cluster.create(make_service("later"))
    await becomes_ready(cluster, "later")


async def test_a_configuration_that_changes_reaches_what_is_there(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    await becomes_ready(cluster)
    found = await cluster.store.get(Key("configmaps", "kserve", "inferenceservice-config"))
    ingress = {**json.loads(found["data"]["ingress"]), "ingressDomain": "models.dev"}
    found["data"]["ingress"] = json.dumps(ingress)
    found["metadata"].pop("resourceVersion")
    await cluster.store.update("configmaps", found)

    async def moved():
        service = await cluster.get(SERVICES, "ml", "iris")
        route = await cluster.get(HTTP_ROUTES, "ml", "iris")
        hosts = route["spec"]["hostnames"]
        return hosts == ["iris-ml.models.dev"] and service["status"]["url"].endswith("models.dev")

    await until(moved)


async def test_a_service_without_a_runtime_says_so_and_runs_once_there_is_one(
    tmp_path, make_service
):
    async with played_cluster(tmp_path) as cluster:
        await cluster.create(config_map(CONFIG))
        await cluster.start_operator()
        await cluster.create(make_service())

        async def told():
            found = conditions_of(await cluster.get(SERVICES, "ml", "iris"))
            return found.get("PredictorReady", {}).get("reason") == "NoSupportingRuntime"

        await until(told)
        await cluster.create(RUNTIME)
        await becomes_ready(cluster)


async def test_a_service_that_is_blocked_keeps_what_it_has(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    service = await becomes_ready(cluster)
    service["spec"]["predictor"]["model"]["runtime"] = "missing"
    await cluster.send("PUT", SERVICES, service)

    async def told():
        found = await cluster.get(SERVICES, "ml", "iris")
        return found["status"]["modelStatus"]["transitionStatus"] == "InvalidSpec" and found

    found = await until(told)
    assert len(await cluster.children("ml")) == 5
    assert conditions_of(found)["PredictorReady"]["status"] == "True"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "cannot be used", id="no YAML"),
        pytest.param('{"clusters": []}', "cannot be used", id="no contexts"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named(text, says, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        connect(path)


def test_a_kubeconfig_that_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="nowhere"):
        connect(tmp_path / "nowhere")


def test_a_context_that_is_missing_is_named(tmp_path):
    path = write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1", TOKEN)
    with pytest.raises(ConfigurationError, match="elsewhere"):
        connect(path, "elsewhere")


async def test_a_store_raises_what_the_server_says(cluster):
    operator = await cluster.start_operator()
    with pytest.raises(NotFound):
        await operator.cluster.store.get(Key("configmaps", "kserve", "missing"))


async def test_pods_that_a_webhook_keeps_from_being_made_are_told_of_in_its_words(
    cluster, make_service
):
    text = f"{UNREACHED} connection refused"
    cluster.players.refused["ml", "iris-predictor"] = [
        {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"},
        {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate",
            "message": text,
        },
    ]
    await cluster.start_operator()
    await cluster.create(make_service())

    async def told():
        found = conditions_of(await cluster.get(SERVICES, "ml", "iris"))
        return text in found.get("PredictorReady", {}).get("message", "") and found

    conditions = await until(told)
    assert conditions["PredictorReady"]["status"] == "False"
    assert conditions["Ready"]["status"] == "False"


async def test_an_api_server_that_is_slow_is_waited_for(cluster, make_service):
    async def slow(_request: Request) -> Reply | None:
        await asyncio.sleep(0.3)
        return None

    cluster.door.fault = slow
    await cluster.start_operator()
    await cluster.create(make_service())
    await becomes_ready(cluster)
    applied = [path for method, path in cluster.door.log if method == "PATCH"]
    assert len(applied) == len(set(applied)) == 5, "nothing is sent twice while it waits"

"""What rests costs nothing, and what is changed by hand is put right."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map
from tests.operator.played_cluster import PlayedCluster, is_ready, rested, until
from tests.operator.virtual_cluster import virtual_cluster
from tests.operator.virtual_time import run_virtually

from sampan.machinery.store import Key
from sampan.operator.cluster import RESOURCES
from sampan.platforms.kubernetes.kinds import AUTOSCALERS, DEPLOYMENTS, HTTP_ROUTES
from sampan.platforms.kubernetes.kinds import SERVICES as KUBERNETES_SERVICES

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")


async def ready(cluster: PlayedCluster, name: str = "iris"):
    async def found():
        service = await cluster.get(SERVICES, "ml", name)
        return service if is_ready(service) else None

    return await until(found)


def look_at_all(operator) -> None:
    operator.work.add_all()


async def test_a_new_service_costs_a_write_for_each_object_and_few_for_its_status(
    cluster, make_service
):
    await cluster.start_operator()
    await rested(cluster)
    cluster.door.forget()
    await cluster.create(make_service())
    await ready(cluster)
    await rested(cluster)
    applied = [path for method, path in cluster.door.log if method == "PATCH"]
    assert len(applied) == len(set(applied)) == 5
    finalizer = "PUT /apis/serving.kserve.io/v1beta1/namespaces/ml/inferenceservices/iris"
    assert cluster.door.writes[finalizer] == 1


def test_a_service_that_is_ready_at_once_has_its_status_written_once():
    async def story() -> Counter[str]:
        async with virtual_cluster() as cluster:
            await cluster.create(config_map(CONFIG), RUNTIME)
            await cluster.start_operator()
            await cluster.settle()
            cluster.door.forget()
            await cluster.create(IRIS)
            await cluster.settle()
            assert is_ready(await cluster.get(SERVICES, "ml", "iris"))
            return cluster.door.writes

    writes = run_virtually(story())
    service = "/apis/serving.kserve.io/v1beta1/namespaces/ml/inferenceservices/iris"
    assert writes[f"PUT {service}/status"] == 1
    assert writes[f"PUT {service}"] == 1, "the finalizer"
    assert writes["POST /api/v1/namespaces/ml/events"] == 1
    assert sum(writes.values()) == 5 + 3, "and a write for each object"


def test_a_status_is_written_though_nobody_says_anything_about_its_objects():
    async def story() -> None:
        async with virtual_cluster() as cluster:
            await cluster.create(config_map(CONFIG), RUNTIME)
            await cluster.players.stop()
            await cluster.start_operator()
            await cluster.create(IRIS)
            await cluster.settle()
            found = await cluster.get(SERVICES, "ml", "iris")
            assert found["status"]["observedGeneration"] == 1
            assert not is_ready(found)

    run_virtually(story())


async def test_looking_again_at_what_rests_makes_no_call(cluster, make_service):
    operator = await cluster.start_operator()
    await cluster.create(make_service())
    await ready(cluster)
    await rested(cluster)
    cluster.door.forget()
    look_at_all(operator)
    await rested(cluster)
    assert cluster.door.log == []


async def test_another_operator_finds_nothing_to_write(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    await ready(cluster)
    await rested(cluster)
    await cluster.stop_operators()
    cluster.door.forget()
    await cluster.start_operator("two")
    await rested(cluster, 0.6)
    assert cluster.door.reads
    assert not cluster.door.writes


async def test_a_child_that_is_deleted_is_made_again(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    await ready(cluster)
    first = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
    await cluster.send("DELETE", DEPLOYMENTS, first)

    async def again():
        found = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
        return found["metadata"]["uid"] != first["metadata"]["uid"]

    await until(again)


async def test_a_field_that_the_plan_does_not_set_is_left_to_who_set_it(cluster, make_service):
    operator = await cluster.start_operator()
    await cluster.create(make_service())
    await ready(cluster)
    deployment = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
    deployment["spec"]["replicas"] = 7
    deployment["metadata"]["annotations"]["team"] = "blue"
    await cluster.send("PUT", DEPLOYMENTS, deployment)
    await rested(cluster)
    look_at_all(operator)
    await rested(cluster)
    found = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
    assert found["spec"]["replicas"] == 7
    assert found["metadata"]["annotations"]["team"] == "blue"


async def test_a_field_that_is_changed_by_hand_is_put_right_and_told_of(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    await ready(cluster)
    deployment = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:latest"
    await cluster.send("PUT", DEPLOYMENTS, deployment, manager="kubectl-edit")

    async def mended():
        found = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
        image = found["spec"]["template"]["spec"]["containers"][0]["image"]
        return image == "kserve/sklearnserver:latest"

    await until(mended)

    async def told():
        events = (await cluster.store.list("events", "ml")).items
        return [e["message"] for e in events if e["reason"] == "ChildCorrected"]

    (message,) = await until(told)
    assert "kubectl-edit" in message
    assert "image" in message
    assert 'Deployment "iris-predictor"' in message


async def test_replicas_stay_as_many_when_an_autoscaler_is_to_decide(cluster, make_service):
    operator = await cluster.start_operator()
    made = make_service(minReplicas=3)
    made["metadata"]["annotations"] = {"serving.kserve.io/autoscalerClass": "none"}
    await cluster.create(made)
    service = await ready(cluster)
    assert await replicas(cluster) == 3
    service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] = "hpa"
    await cluster.send("PUT", SERVICES, service)

    async def scaled():
        return (await cluster.store.list(AUTOSCALERS.id, "ml")).items

    await until(scaled)
    await rested(cluster)
    assert await replicas(cluster) == 3
    deployment = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
    deployment["spec"]["replicas"] = 5
    await cluster.send("PUT", DEPLOYMENTS, deployment, manager="kube-controller-manager")
    await rested(cluster)
    look_at_all(operator)
    await rested(cluster)
    assert await replicas(cluster) == 5


async def replicas(cluster: PlayedCluster) -> int:
    found = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
    return int(found["spec"].get("replicas", 1))


async def test_what_is_not_rendered_any_more_goes(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    service = await ready(cluster)
    service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] = "none"
    await cluster.send("PUT", SERVICES, service)

    async def gone():
        return not (await cluster.store.list(AUTOSCALERS.id, "ml")).items

    await until(gone)
    assert await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")


async def test_what_was_applied_and_is_not_wanted_any_more_leaves_the_object(cluster, make_service):
    await cluster.start_operator()
    env = [{"name": "COLOUR", "value": "blue"}]
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://m/iris", "env": env}
    await cluster.create(make_service(model=model))
    service = await ready(cluster)
    del service["spec"]["predictor"]["model"]["env"]
    await cluster.send("PUT", SERVICES, service)

    async def left():
        found = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
        return "COLOUR" not in json.dumps(found["spec"])

    await until(left)


async def test_a_stopped_service_has_no_objects_and_says_so(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    service = await ready(cluster)
    service["metadata"]["annotations"]["serving.kserve.io/stop"] = "true"
    await cluster.send("PUT", SERVICES, service)

    async def stopped():
        found = await cluster.get(SERVICES, "ml", "iris")
        told = {c["type"]: c for c in found["status"]["conditions"]}
        return told["Stopped"]["status"] == "True" and not await cluster.children("ml")

    await until(stopped)


async def test_a_name_that_somebody_has_is_left_alone_and_told_of(cluster, make_service):
    other = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "iris-predictor", "namespace": "ml"},
        "spec": {"ports": [{"port": 5432}]},
    }
    await cluster.create(other)
    await cluster.start_operator()
    await cluster.create(make_service())

    async def told():
        found = await cluster.get(SERVICES, "ml", "iris")
        told = {c["type"]: c for c in (found.get("status") or {}).get("conditions", ())}
        return told.get("PredictorReady", {}).get("reason") == "NameOccupied" and told

    conditions = await until(told)
    assert 'Service "iris-predictor" is there' in conditions["PredictorReady"]["message"]
    kept = await cluster.get(KUBERNETES_SERVICES, "ml", "iris-predictor")
    assert kept["spec"]["ports"][0]["port"] == 5432


async def test_a_service_that_is_deleted_and_made_again_gets_objects_of_its_own(
    cluster, make_service
):
    await cluster.start_operator()
    await cluster.create(make_service())
    first = await ready(cluster)
    await cluster.send("DELETE", SERVICES, first)

    async def gone():
        return not (await cluster.store.list(SERVICES.id, "ml")).items

    await until(gone)
    await cluster.create(make_service())

    async def second():
        found = await cluster.get(SERVICES, "ml", "iris")
        uid = found["metadata"]["uid"]
        owners = [o["metadata"]["ownerReferences"][0]["uid"] for o in await cluster.children("ml")]
        return is_ready(found) and len(owners) == 5 and set(owners) == {uid}

    await until(second, 60)


async def test_a_trained_model_goes_with_its_service(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    service = await ready(cluster)
    await cluster.create(
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "TrainedModel",
            "metadata": {
                "name": "extra",
                "namespace": "ml",
                "labels": {"inferenceservice": "iris"},
            },
            "spec": {
                "inferenceService": "iris",
                "model": {"storageUri": "gs://m/x", "framework": "sklearn", "memory": "1Gi"},
            },
        }
    )
    await cluster.send("DELETE", SERVICES, service)

    async def gone():
        left = (await cluster.store.list("trainedmodels.serving.kserve.io", "ml")).items
        return not left

    await until(gone)


async def test_a_route_that_its_gateway_refuses_keeps_the_service_from_ready(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    await ready(cluster)
    key = Key(HTTP_ROUTES.id, "ml", "iris")
    route = await cluster.store.get(key)
    refused = {
        "type": "Accepted",
        "status": "False",
        "reason": "NoMatchingParent",
        "message": "no listener",
    }
    route["status"]["parents"][0]["conditions"] = [refused]
    await cluster.players.stop()
    await cluster.store.update_status(HTTP_ROUTES.id, route)

    async def told():
        found = await cluster.get(SERVICES, "ml", "iris")
        ingress = next(c for c in found["status"]["conditions"] if c["type"] == "IngressReady")
        return ingress["status"] == "False" and ingress

    condition = await until(told)
    assert condition["reason"] == "NoMatchingParent"


async def test_a_service_that_is_not_to_be_updated_by_itself_keeps_its_template(
    cluster, make_service
):
    await cluster.start_operator()
    quiet = make_service()
    quiet["metadata"]["annotations"] = {"serving.kserve.io/disable-auto-update": "true"}
    await cluster.create(quiet, make_service("other"))
    await ready(cluster)
    await ready(cluster, "other")
    runtime = await cluster.store.get(
        Key("clusterservingruntimes.serving.kserve.io", "", "kserve-sklearnserver")
    )
    runtime["spec"]["containers"][0]["image"] = "kserve/sklearnserver:v2"
    runtime["metadata"].pop("resourceVersion")
    await cluster.store.update("clusterservingruntimes.serving.kserve.io", runtime)

    async def image(name: str) -> str:
        found = await cluster.get(DEPLOYMENTS, "ml", f"{name}-predictor")
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    async def rolled():
        return await image("other") == "kserve/sklearnserver:v2"

    await until(rolled)
    await rested(cluster)
    assert await image("iris") == "kserve/sklearnserver:latest"


@pytest.mark.slow
async def test_several_models_bring_the_secrets_of_their_account_into_the_template(
    cluster, make_service
):
    uris = [
        {"uri": "s3://models/one", "mountPath": "/mnt/models/one"},
        {"uri": "s3://models/two", "mountPath": "/mnt/models/two"},
    ]
    await cluster.ensure_namespace("ml")
    metadata = {"name": "default", "namespace": "ml"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    await cluster.store.create("serviceaccounts", {**account, "secrets": [{"name": "keys"}]})
    await cluster.start_operator()
    model = {"modelFormat": {"name": "sklearn"}}
    await cluster.create(make_service(model=model, storageUris=uris))

    async def told():
        found = await cluster.get(SERVICES, "ml", "iris")
        status = json.dumps(found.get("status") or {})
        return 'secrets \\"keys\\" not found' in status

    await until(told)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": "ml"},
        "data": {"awsAccessKeyID": "aWQ=", "awsSecretAccessKey": "a2V5"},
    }
    await cluster.create(secret)
    await ready(cluster)
    deployment = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
    assert "awsSecretAccessKey" in json.dumps(deployment["spec"]["template"])

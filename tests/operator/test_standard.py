"""One service of Standard mode, from kubectl's apply to Ready, and back."""

from __future__ import annotations

from tests.operator.played_cluster import PlayedCluster, is_ready, until

from sampan.operator.cluster import RESOURCES
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")


async def ready_service(cluster: PlayedCluster, name: str = "iris"):
    async def ready():
        found = await cluster.get(SERVICES, "ml", name)
        return found if is_ready(found) else None

    return await until(ready)


async def test_a_service_is_made_of_its_objects_and_becomes_ready(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    service = await ready_service(cluster)
    kinds = sorted((o["kind"], o["metadata"]["name"]) for o in await cluster.children("ml"))
    assert kinds == [
        ("Deployment", "iris-predictor"),
        ("HTTPRoute", "iris"),
        ("HTTPRoute", "iris-predictor"),
        ("HorizontalPodAutoscaler", "iris-predictor"),
        ("Service", "iris-predictor"),
    ]
    status = service["status"]
    assert status["url"] == "http://iris-ml.example.com"
    assert status["address"] == {"url": "http://iris-predictor.ml.svc.cluster.local"}
    assert status["components"] == {"predictor": {"url": "http://iris-predictor-ml.example.com"}}
    assert status["clusterServingRuntimeName"] == "kserve-sklearnserver"


async def test_a_deleted_service_goes_with_everything_that_it_was_made_of(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    service = await ready_service(cluster)
    await cluster.send("DELETE", SERVICES, service)

    async def gone():
        return (
            not await cluster.children("ml") and not (await cluster.store.list(SERVICES.id)).items
        )

    await until(gone)


async def test_an_edit_reaches_the_deployment(cluster, make_service):
    await cluster.start_operator()
    await cluster.create(make_service())
    service = await ready_service(cluster)
    service["spec"]["predictor"]["model"]["storageUri"] = "gs://models/iris-2"
    await cluster.send("PUT", SERVICES, service)

    async def changed():
        deployment = await cluster.get(DEPLOYMENTS, "ml", "iris-predictor")
        return "gs://models/iris-2" in str(deployment["spec"]["template"])

    await until(changed)

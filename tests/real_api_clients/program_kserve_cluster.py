"""KServe's own `KServeClient` (kserve 0.21.0) against a cluster in which the operator acts."""

from __future__ import annotations

import sys
import time

from kserve import KServeClient
from kserve.models import (
    V1beta1InferenceService,
    V1beta1InferenceServiceSpec,
    V1beta1ModelFormat,
    V1beta1ModelSpec,
    V1beta1PredictorSpec,
)
from kubernetes.client import AppsV1Api, V1ObjectMeta
from kubernetes.client.rest import ApiException
from steps import run_steps, step

PLACE = {"name": "flowers", "namespace": "ml"}
OLD, NEW = "gs://models/flowers/1", "gs://models/flowers/2"
kserve = KServeClient(config_file=sys.argv[1])


def make_service(uri: str = OLD, name: str | None = None, canary: list | None = None, **more):
    predictor = V1beta1PredictorSpec(
        name=name,
        model=V1beta1ModelSpec(model_format=V1beta1ModelFormat(name="sklearn"), storage_uri=uri),
        **more,
    )
    return V1beta1InferenceService(
        api_version="serving.kserve.io/v1beta1",
        kind="InferenceService",
        metadata=V1ObjectMeta(**PLACE),
        spec=V1beta1InferenceServiceSpec(predictor=predictor, canary=canary),
    )


def wait_ready(made: dict) -> dict:
    kserve.wait_isvc_ready(
        **PLACE, timeout_seconds=60, polling_interval=1,
        expected_generation=made["metadata"]["generation"],
    )  # fmt: skip
    return kserve.get(**PLACE)


def until(holds) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, kserve.get(**PLACE).get("status")
        time.sleep(0.2)


def deployment(name: str):
    try:
        return AppsV1Api().read_namespaced_deployment(name, "ml")
    except ApiException as error:
        if error.status == 404:
            return None
        raise


@step
def create_and_wait_until_it_is_ready():
    found = wait_ready(kserve.create(make_service()))
    assert found["status"]["url"] == "http://flowers-ml.example.com"
    assert kserve.is_isvc_ready(**PLACE)


@step
def a_canary_gets_its_share():
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": NEW}
    canary = [{"predictor": {"name": "next", "model": model}, "trafficPercent": 25}]
    wait_ready(kserve.patch("flowers", make_service(canary=canary)))
    until(lambda: any(
        c["ready"] for c in kserve.get(**PLACE)["status"].get("canaryStatuses") or ()
    ))  # fmt: skip


@step
def it_is_promoted_by_its_name():
    before = deployment("flowers-next-predictor").metadata.uid
    found = kserve.get(**PLACE)
    promoted = make_service(NEW, name="next")
    promoted.metadata.resource_version = found["metadata"]["resourceVersion"]
    promoted.metadata.annotations = found["metadata"]["annotations"]
    for _ in range(20):  # the client reads, then writes: the operator may come between
        try:
            made = kserve.replace("flowers", promoted, namespace="ml")
            break
        except RuntimeError as error:
            if "modified" not in str(error):
                raise
            version = kserve.get(**PLACE)["metadata"]["resourceVersion"]
            promoted.metadata.resource_version = version
    wait_ready(made)
    until(lambda: deployment("flowers-predictor") is None)
    assert deployment("flowers-next-predictor").metadata.uid == before


@step
def it_is_scaled():
    changed = make_service(NEW, name="next", min_replicas=2, max_replicas=3)
    found = wait_ready(kserve.patch("flowers", changed))
    assert found["spec"]["predictor"]["minReplicas"] == 2


@step
def it_goes_with_what_it_was_made_of():
    kserve.delete(**PLACE)
    until(lambda: deployment("flowers-next-predictor") is None)


if __name__ == "__main__":
    run_steps()

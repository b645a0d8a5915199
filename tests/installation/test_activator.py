"""The activator of an installation: only where it is wanted, restricted, with few rights."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from tests.installation.test_objects import MODELS, of_kind

from sampan.app.activator_arguments import parse
from sampan.app.activator_envoy import make_parser
from sampan.app.operator_arguments import parse as parse_operator
from sampan.cli.main import VERBS
from sampan.installation.activator import FOLDER, LEAVING_SECONDS, make_activator
from sampan.installation.bundle import make_operator
from sampan.installation.options import ACTIVATOR, OPERATOR, Options
from sampan.operator.operator import LEASE
from sampan.platforms.kubernetes import serverless_table
from sampan.platforms.kubernetes.children import AUTOSCALER

OPTIONS = Options(activators=2)


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return list(make_activator(OPTIONS))


@pytest.fixture(scope="module")
def pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    [deployment] = of_kind(objects, "Deployment")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def test_without_being_asked_for_there_is_none_and_the_operator_knows() -> None:
    assert make_activator(Options()) == ()
    for options, known in ((Options(), False), (OPTIONS, True)):
        found = make_operator(options)
        [operator] = [o for o in of_kind(found, "Deployment") if o["metadata"]["name"] == OPERATOR]
        [container] = operator["spec"]["template"]["spec"]["containers"]
        assert parse_operator(container["args"][1:]).activator is known


def test_every_object_is_one_of_kubernetes_s_with_no_field_that_it_does_not_know(
    objects: list[dict[str, Any]],
) -> None:
    assert len(objects) == 8
    for obj in objects:
        model = getattr(import_module(f"lightkube.models.{MODELS[obj['apiVersion']]}"), obj["kind"])
        again = model.from_dict(obj).to_dict()
        assert again == obj, obj["kind"]


def test_the_pod_passes_the_restricted_profile(pod: dict[str, Any]) -> None:
    """Kubernetes, "Pod Security Standards", Restricted: each control."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        assert not pod.get(field)
    assert all(set(volume) - {"name"} == {"emptyDir"} for volume in pod["volumes"])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True


def test_both_containers_run_what_there_is_over_one_folder(pod: dict[str, Any]) -> None:
    activator, envoy = pod["containers"]
    options = parse(activator["args"][1:])
    assert (options.host, options.folder.as_posix(), options.envoy_beside) == (
        "0.0.0.0",  # a pod's own address
        FOLDER,
        True,
    )
    assert make_parser().parse_args(envoy["args"][1:]).folder.as_posix() == FOLDER
    assert {c["args"][0] for c in (activator, envoy)} <= VERBS.keys()
    mounts = [{m["mountPath"] for m in c["volumeMounts"]} for c in (activator, envoy)]
    assert all(FOLDER in found for found in mounts)
    assert pod["shareProcessNamespace"] is True


def test_a_pod_that_ends_has_the_time_for_who_is_there_and_its_envoy_ends_last(
    pod: dict[str, Any],
) -> None:
    activator, envoy = pod["containers"]
    leaving = parse(activator["args"][1:]).drain_seconds
    stays = envoy["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert leaving == LEAVING_SECONDS < stays < pod["terminationGracePeriodSeconds"]
    assert "lifecycle" not in activator  # it is to know at once


def test_who_may_ask_for_its_numbers_can_be_bounded_and_its_doors_stay_open() -> None:
    assert not of_kind(list(make_activator(OPTIONS)), "NetworkPolicy")
    bounded = replace(OPTIONS, metrics_from=("monitoring",))
    [policy] = of_kind(list(make_activator(bounded)), "NetworkPolicy")
    doors, health = policy["spec"]["ingress"]
    options = parse([])
    [ports] = doors["ports"]
    assert (ports["port"], ports["endPort"]) == (options.doors.first, options.doors.last)
    assert "from" not in doors
    assert [p["port"] for p in health["ports"]] == [bounded.health_port]
    places = [next(iter(f["namespaceSelector"]["matchLabels"].values())) for f in health["from"]]
    assert places == ["kserve", "monitoring"]


def test_the_activator_finds_its_own_addresses_by_its_service(
    objects: list[dict[str, Any]], pod: dict[str, Any]
) -> None:
    [service] = of_kind(objects, "Service")
    assert service["metadata"]["name"] == serverless_table.ACTIVATOR == ACTIVATOR
    assert service["metadata"]["labels"][AUTOSCALER] == "sampan"
    [deployment] = of_kind(objects, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    [port] = pod["containers"][0]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


def test_of_deployments_it_may_change_the_number_of_replicas_alone(
    objects: list[dict[str, Any]],
) -> None:
    [role] = of_kind(objects, "ClusterRole")
    writes = {
        resource
        for rule in role["rules"]
        for resource in rule["resources"]
        if set(rule["verbs"]) - {"get", "list", "watch"}
    }
    assert writes == {"deployments/scale", "endpointslices", "events"}
    [own] = of_kind(objects, "Role")
    assert all(rule["resources"] == ["leases"] for rule in own["rules"])
    assert LEASE not in str(own)  # the operator's Lease is none of its business

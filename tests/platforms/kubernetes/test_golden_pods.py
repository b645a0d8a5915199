"""The same pods as a real KServe's webhook makes of the Deployments' templates.

Standard mode: in Knative mode pods are made by Knative. Three samples need a Secret; they were
recorded without it, refused, and with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.platforms.kubernetes.recorded_differences import Difference, compare, rules
from tests.platforms.kubernetes.stored_objects import as_stored_pod
from tests.platforms.kubernetes.test_golden import read_recordings

from sampan.machinery.errors import Forbidden
from sampan.platforms.kubernetes.pods.mutate import mutate_pod
from sampan.platforms.kubernetes.render import render

SET_UPS = ("standard-gateway", "standard-ingress")
COMPARED = 125
"""At least so many pods of a set-up are compared."""


def pods_of(objects) -> Iterator[tuple[str, dict[str, Any]]]:
    for obj in objects:
        if obj["kind"] == "Deployment":
            template = obj["spec"]["template"]
            yield obj["metadata"]["name"], {"apiVersion": "v1", "kind": "Pod", **template}


def recorded_pods(recording: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The fixtures of a recording, and its pods by workload: without Secrets, then with them."""
    yield (), recording.get("pod") or {}
    more = recording.get("withCredentials") or {}
    yield more.get("fixtures", ()), more.get("pod", {})


def golden_pods(set_up, golden_folder, make_source) -> Iterator[Any]:
    """Each recorded pod of a set-up: sample, pod of the template, fixtures, recording."""
    for name, recording in read_recordings(golden_folder / set_up).items():
        service = {**recording["defaulted"], "status": recording["status"]}
        templates = dict(pods_of(render(make_source(service, set_up))))
        for fixtures, recorded in recorded_pods(recording):
            for workload in templates.keys() & recorded.keys():
                yield name, templates[workload], fixtures, recorded[workload]


def pod_differences(set_up, golden_folder, make_source, around) -> Iterator[Difference]:
    for name, pod, fixtures, expected in golden_pods(set_up, golden_folder, make_source):
        if "refused" not in expected:
            ours = as_stored_pod(mutate_pod(pod, around(set_up, fixtures)))
            for path, a, b in compare(ours, expected):
                yield Difference(name, "Pod", pod["metadata"]["name"], path, a, b)


@pytest.mark.parametrize("set_up", SET_UPS)
def test_the_pods_are_kserve_s(set_up, golden_folder, make_source, around):
    listed = rules()
    found = pod_differences(set_up, golden_folder, make_source, around)
    unlisted = [d for d in found if not any(rule.allows(d) for rule in listed)]
    shown = "\n".join(str(d) for d in unlisted[:20])
    assert not unlisted, f"{len(unlisted)} differences that no rule lists:\n{shown}"
    assert len(list(golden_pods(set_up, golden_folder, make_source))) >= COMPARED


@pytest.mark.parametrize("set_up", SET_UPS)
def test_a_pod_whose_secret_is_missing_is_refused_and_the_secret_is_named(
    set_up, golden_folder, make_source, around
):
    refused = 0
    for _, pod, fixtures, expected in golden_pods(set_up, golden_folder, make_source):
        if "refused" in expected:
            with pytest.raises(Forbidden, match=r'secrets "(storage-config|mysecret)" not found'):
                mutate_pod(pod, around(set_up, fixtures))
            refused += 1
    assert refused == 3


@pytest.mark.parametrize("set_up", SET_UPS)
def test_a_pod_that_is_mutated_again_stays_as_it_is(set_up, golden_folder, make_source, around):
    for name, pod, fixtures, expected in golden_pods(set_up, golden_folder, make_source):
        if "refused" not in expected:
            once = mutate_pod(pod, around(set_up, fixtures))
            assert mutate_pod(once, around(set_up, fixtures)) == once, name

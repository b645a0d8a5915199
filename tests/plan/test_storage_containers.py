"""Which storage container fetches a URI, and with which words one does not."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.plan.model import make_model_location
from sampan.plan.storage_containers import problem_of, refuse_named, select_fitting

Json = dict[str, Any]


def container(name: str, *formats: Json, **more: Any) -> Json:
    spec = {"container": {"image": f"example/{name}"}, "supportedUriFormats": [*formats]}
    kind = {"workloadType": more.pop("kind")} if "kind" in more else {}
    return {"metadata": {"name": name}, "spec": {**spec, **kind}, **more}


HUB = container("hub", {"prefix": "hub://"})
REGEX = container("regex", {"regex": "model-[0-9]+"})


@pytest.mark.parametrize(
    ("given", "uri", "problem"),
    [
        pytest.param(HUB, "hub://a", None, id="by its prefix"),
        pytest.param(REGEX, "x://a/model-7/b", None, id="by an expression, anywhere"),
        pytest.param(
            container("both", {"prefix": "a://", "regex": ".*"}), "b://c",
            'does not fetch "b://c"', id="a prefix wins over an expression",
        ),
        pytest.param(
            container("broken", {"regex": "("}), "x://a", 'does not fetch "x://a"',
            id="an expression that cannot be read fits nothing",
        ),
        pytest.param(
            container("off", {"prefix": "hub://"}, disabled=True), "hub://a", "is disabled",
            id="not while it is disabled",
        ),
        pytest.param(
            container("job", {"prefix": "hub://"}, kind="localModelDownloadJob"), "hub://a",
            'is of workload type "localModelDownloadJob", not "initContainer"',
            id="not for another kind of work",
        ),
    ],
)  # fmt: skip
def test_a_container_fetches_a_uri_or_not(given: Json, uri: str, problem: str | None) -> None:
    assert problem_of(given, uri) == problem


def test_the_first_that_fits_is_taken() -> None:
    other = container("other", {"prefix": "hub://"})
    assert select_fitting("hub://a", [REGEX, other, HUB]) == other
    assert select_fitting("s3://a", [HUB]) is None


def test_one_that_is_named_and_not_there_is_told_with_those_that_are() -> None:
    assert refuse_named("hub://a", [HUB, REGEX], "huub") == (
        'ClusterStorageContainer "huub" does not exist; installed are: "hub", "regex"'
    )
    assert refuse_named("s3://a", [HUB], "hub") == (
        'ClusterStorageContainer "hub" does not fetch "s3://a"; name another'
    )
    assert refuse_named("hub://a", [HUB], "hub") is None


def service(uri: str, **predictor: Any) -> Json:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": uri}
    return {
        "metadata": {"name": "iris", "namespace": "default"},
        "spec": {"predictor": {"model": model, **predictor}},
    }


def test_a_container_makes_a_uri_valid_that_nobody_else_knows() -> None:
    blocked = make_model_location(service("hub://a"), ()).blocked
    assert blocked is not None
    assert "StorageURI not supported" in blocked.message
    found = make_model_location(service("hub://a"), (HUB,))
    assert [source.uri for source in found.sources] == ["hub://a"]


def test_the_container_that_a_service_names_must_fetch_its_model() -> None:
    named = service("s3://a", storageContainerName="hub")
    blocked = make_model_location(named, (HUB,)).blocked
    assert blocked is not None
    assert blocked.message.startswith('ClusterStorageContainer "hub" does not fetch "s3://a"')
    assert make_model_location(named, None).blocked is None

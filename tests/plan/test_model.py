"""Where a predictor's model comes from, and what is refused."""

from __future__ import annotations

import pytest

from sampan.plan.model import SCHEMES, has_storage, make_model_location
from sampan.plan.types import ModelSource


def custom(make, *env, **spec):
    return make.service(
        containers=[{"name": "kserve-container", "image": "mine", "env": list(env)}], **spec
    )


def test_one_uri_stands_at_the_usual_path(make):
    location = make_model_location(make.service(model={"storageUri": "s3://bucket/iris"}))
    assert location.sources == (ModelSource("s3://bucket/iris", "/mnt/models"),)
    assert location.blocked is None


def test_several_stand_each_at_their_own_path(make):
    uris = [{"uri": "s3://b/base", "mountPath": "/mnt/models/base"}, {"uri": "hf://a/lora"}]
    location = make_model_location(make.service(model={"storageUri": None}, storageUris=uris))
    assert location.sources == (
        ModelSource("s3://b/base", "/mnt/models/base"),
        ModelSource("hf://a/lora", "/mnt/models"),
    )


def test_a_custom_predictor_names_its_model_by_a_variable(make):
    location = make_model_location(custom(make, {"name": "STORAGE_URI", "value": "gs://b/m"}))
    assert location.sources == (ModelSource("gs://b/m"),)


@pytest.mark.parametrize(
    "env",
    [(), ({"name": "OTHER", "value": "x"},), ({"name": "STORAGE_URI", "valueFrom": {}},)],
    ids=["no variables", "other variables", "one whose value is elsewhere"],
)
def test_a_custom_predictor_may_bring_its_own_model(make, env):
    assert make_model_location(custom(make, *env)).sources == ()


def test_a_model_without_a_place_has_no_source(make):
    location = make_model_location(make.service(model={"storageUri": None}))
    assert (location.sources, location.blocked) == ((), None)


TRUST = {
    "true trusts": ("true", True),
    "anything else does not": ("yes", False),
    "nor does another letter case": ("True", False),
    "nor the empty text": ("", False),
}


@pytest.mark.parametrize("case", TRUST.values(), ids=TRUST.keys())
def test_the_trust_annotation(make, case):
    value, expected = case
    service = make.service(meta_annotations={"serving.sampan.dev/trust": value})
    assert [s.trusted for s in make_model_location(service).sources] == [expected]


def test_nothing_is_trusted_unasked(make):
    assert [s.trusted for s in make_model_location(make.service()).sources] == [False]


ACCEPTED = [
    *(f"{scheme}place/model" for scheme in SCHEMES),
    "modelscope://a/b",
    "/absolute/path",
    "relative/path",
    "https://account.blob.core.windows.net/container/path",
]


@pytest.mark.parametrize("uri", ACCEPTED)
def test_a_place_is_taken(make, uri):
    location = make_model_location(make.service(model={"storageUri": uri}))
    assert [s.uri for s in location.sources] == [uri]


@pytest.mark.parametrize("uri", ["model-registry://iris/v1", "ftp://host/x", "S3://b/m", "git://a"])
def test_an_unknown_scheme_is_refused_in_kserve_s_words(make, uri):
    location = make_model_location(make.service(model={"storageUri": uri}))
    assert location.sources == ()
    assert location.blocked is not None
    assert location.blocked.reason == "InvalidPredictorSpec"
    assert location.blocked.message == (
        "StorageURI not supported: storageUri, must be one of: [gs://, s3://, pvc://, file://, "
        "https://, http://, hdfs://, webhdfs://, oci://, oci+native://, oci+fetch://, hf://] or "
        "match https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path. "
        f"StorageUri [{uri}] is not supported"
    )


def test_an_unknown_scheme_among_several_is_refused(make):
    uris = [{"uri": "s3://b/a", "mountPath": "/a"}, {"uri": "ftp://b/a", "mountPath": "/b"}]
    location = make_model_location(make.service(model={"storageUri": None}, storageUris=uris))
    assert location.blocked is not None
    assert "[ftp://b/a]" in location.blocked.message


REFUSED = {
    "a URI and a storage path": (
        {"storage": {"path": "iris"}}, {},
        "InvalidPredictorSpec", ("must provide only one of storageUri and storage.path", '"iris"'),
    ),
    "a URI and several URIs": (
        {}, {"storageUris": [{"uri": "s3://b/a"}]},
        "InvalidPredictorSpec", ("Setting both StorageURI and StorageURIs is not supported.",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_is_refused(make, case):
    model, spec, reason, words = case
    blocked = make_model_location(make.service(model=model, **spec)).blocked
    assert blocked is not None
    assert blocked.reason == reason
    assert all(word in blocked.message for word in words)


PLACES = {
    "a URI": ({}, {}, True),
    "several URIs": ({"storageUri": None}, {"storageUris": [{"uri": "s3://b/a"}]}, True),
    "a storage spec": ({"storageUri": None, "storage": {"path": "x"}}, {}, True),
    "nothing": ({"storageUri": None}, {}, False),
}


@pytest.mark.parametrize("case", PLACES.values(), ids=PLACES.keys())
def test_a_model_has_a_place_with(make, case):
    model, spec, expected = case
    assert has_storage(make.service(model=model, **spec)) is expected

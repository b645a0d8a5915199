"""Which objects of the local model kinds are refused, with which words."""

from typing import Any

import pytest

from sampan.api.schema.rules import UNCHECKED

Json = dict[str, Any]
CACHES = ("LocalModelCache", "LocalModelNamespaceCache")


def cache(kind: str = "LocalModelCache", name: str = "c", uri: str = "hf://a/b") -> Json:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"sourceModelUri": uri, "modelSize": "1Gi", "nodeGroups": ["workers"]},
    }


@pytest.mark.parametrize("kind", CACHES)
def test_the_model_of_a_cache_stays_the_same(admit: Any, kind: str) -> None:
    admitted = admit(cache(kind, uri="hf://a/c"), cache(kind))
    assert [str(error) for error in admitted.errors] == [
        'spec.sourceModelUri: Invalid value: "hf://a/c": StorageUri is immutable'
    ]


@pytest.mark.parametrize("kind", CACHES)
def test_the_rest_of_a_cache_may_change(admit: Any, kind: str) -> None:
    changed = cache(kind)
    changed["spec"]["modelSize"] = "2Gi"
    admitted = admit(changed, cache(kind))
    assert (admitted.obj, admitted.errors, admitted.denied) == (changed, (), "")


@pytest.mark.parametrize("kind", CACHES)
def test_where_a_field_is_missing_the_rules_are_not_asked_and_that_is_told(
    admit: Any, kind: str
) -> None:
    sent = cache(kind, uri="hf://a/c")
    del sent["spec"]["nodeGroups"]
    assert [str(error) for error in admit(sent, cache(kind)).errors] == [
        "spec.nodeGroups: Required value",
        f"<nil>: {UNCHECKED.message}",
    ]


def test_no_two_caches_of_a_cluster_are_of_one_model(admit: Any) -> None:
    denied = admit(cache(name="d"), neighbours=(cache(),)).denied
    assert denied == "LocalModelCache c has the same StorageURI hf://a/b"


def test_a_cache_is_no_rival_of_itself_nor_of_one_with_another_model(admit: Any) -> None:
    others = (cache(), cache(name="d", uri="hf://a/c"))
    assert admit(cache(), cache(), neighbours=others).denied == ""


def test_caches_of_a_namespace_may_share_a_model(admit: Any) -> None:
    kind = "LocalModelNamespaceCache"
    assert admit(cache(kind, name="d"), neighbours=(cache(kind),)).denied == ""


def test_a_cache_wants_a_node_group(admit: Any) -> None:
    sent = cache()
    sent["spec"]["nodeGroups"] = []
    paths = [error.path for error in admit(sent).errors]
    assert paths == ["spec.nodeGroups"]


def test_a_cache_that_is_going_is_not_compared_with_others(admit: Any) -> None:
    sent = cache(name="d")
    sent["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert admit(sent, sent, neighbours=(cache(),)).denied == ""

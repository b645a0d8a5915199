"""What leads an API server to the webhooks: complete, closed, and answered."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.webhooks.conftest import silent

from sampan.api.scheme import GROUP, REGISTRY
from sampan.webhooks.configurations import Place, make_configurations
from sampan.webhooks.front import make_judgements
from sampan.webhooks.paths import JUDGED

MUTATING, VALIDATING = make_configurations(REGISTRY, Place())
WEBHOOKS = [*MUTATING["webhooks"], *VALIDATING["webhooks"]]


def test_every_kind_with_rules_is_validated() -> None:
    validated = {f"{r}.{GROUP}" for w in VALIDATING["webhooks"] for r in w["rules"][0]["resources"]}
    assert validated == JUDGED


@pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda w: w["name"])
def test_a_webhook(webhook: dict[str, Any], store: Any) -> None:
    assert webhook["failurePolicy"] == "Fail"
    assert webhook["sideEffects"] == "None"
    assert webhook["name"].count(".") >= 2, "Kubernetes wants a name of three parts"
    path = webhook["clientConfig"]["service"]["path"]
    assert path in make_judgements(REGISTRY, store, silent), "somebody answers there"


def test_names_are_unique() -> None:
    names = [w["name"] for w in WEBHOOKS]
    assert len(set(names)) == len(names)


def test_only_pods_of_services_are_mutated_and_none_of_a_control_plane() -> None:
    pods = next(w for w in MUTATING["webhooks"] if w["rules"][0]["resources"] == ["pods"])
    assert pods["objectSelector"]["matchExpressions"] == [
        {"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}
    ]
    assert pods["namespaceSelector"]["matchExpressions"] == [
        {"key": "control-plane", "operator": "DoesNotExist"}
    ]


def test_webhooks_outside_the_cluster_are_named_by_url() -> None:
    place = Place(url="https://127.0.0.1:9443", authority=b"pem")
    mutating, validating = make_configurations(REGISTRY, place)
    for webhook in (*mutating["webhooks"], *validating["webhooks"]):
        client = webhook["clientConfig"]
        assert urlsplit(client["url"]).netloc == "127.0.0.1:9443"
        assert client["caBundle"] == "cGVt"
        assert "service" not in client

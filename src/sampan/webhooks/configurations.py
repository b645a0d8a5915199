"""The objects that lead a cluster's API server to the webhooks. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from sampan.machinery.registry import JsonObject, Registry, Resource
from sampan.platforms.kubernetes.kinds import PODS
from sampan.webhooks.paths import JUDGED, MUTATE_PODS, MUTATED, mutate_path, validate_path
from sampan.webhooks.pods import OWNER_LABEL

API_VERSION = "admissionregistration.k8s.io/v1"
MUTATING_KIND = "MutatingWebhookConfiguration"
VALIDATING_KIND = "ValidatingWebhookConfiguration"
NAME = "sampan"
SERVICE = "sampan-webhook"
"""The Service before the webhooks, unless a name is given."""
SERVER = "kserve-webhook-server"
"""A part of each webhook's name, which refusals quote: people look for KServe's texts."""


def _registration(kind: str) -> Resource:
    group, version = API_VERSION.split("/")
    return Resource(group, version, kind, f"{kind.lower()}s", kind.lower(), namespaced=False)


MUTATING, VALIDATING = _registration(MUTATING_KIND), _registration(VALIDATING_KIND)
DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    "customresourcedefinition",
    namespaced=False,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the webhooks are: a Service of the cluster, or `url` as seen by the API server."""

    namespace: str = "kserve"
    service: str = SERVICE
    port: int = 443
    url: str = ""
    authority: bytes = b""
    """PEM; empty: whoever serves the webhooks writes it."""

    def client(self, path: str) -> JsonObject:
        """Return the `clientConfig` of a webhook."""
        if self.url:
            found: JsonObject = {"url": f"{self.url}{path}"}
        else:
            service = {"namespace": self.namespace, "name": self.service}
            found = {"service": {**service, "path": path, "port": self.port}}
        if self.authority:
            found["caBundle"] = base64.b64encode(self.authority).decode()
        return found


def make_configurations(registry: Registry, place: Place) -> tuple[JsonObject, JsonObject]:
    """Return the mutating and the validating configuration.

    All fail closed: an object that was not judged would be refused later, by an operator that
    cannot tell its writer. Namespaces of a control plane are left out for pods, as in KServe.
    """
    judged = sorted((r for r in registry if r.id in JUDGED), key=lambda r: r.id)
    mutating = [_mutating(v, place) for r in judged if r.id in MUTATED for v in _versions(r)]
    validating = [_validating(v, place) for r in judged for v in _versions(r)]
    return (
        _configuration(MUTATING_KIND, [*mutating, _pods(place)]),
        _configuration(VALIDATING_KIND, validating),
    )


def _versions(resource: Resource) -> Iterator[Resource]:
    yield resource
    yield from (older.resource for older in resource.older)


def _configuration(kind: str, webhooks: list[JsonObject]) -> JsonObject:
    labels = {"app.kubernetes.io/name": "sampan", "app.kubernetes.io/component": "webhook"}
    metadata = {"name": NAME, "labels": labels}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "webhooks": webhooks}


def _mutating(resource: Resource, place: Place) -> JsonObject:
    path = mutate_path(resource)
    name = _name(resource, "defaulter")
    return _webhook(name, place.client(path), _rule(resource, "CREATE", "UPDATE"))


def _validating(resource: Resource, place: Place) -> JsonObject:
    operations = ("CREATE", "UPDATE", "DELETE") if resource.delete_guard else ("CREATE", "UPDATE")
    path = validate_path(resource)
    return _webhook(_name(resource, "validator"), place.client(path), _rule(resource, *operations))


def _pods(place: Place) -> JsonObject:
    exists = {"key": OWNER_LABEL, "operator": "Exists"}
    control_plane = {"key": "control-plane", "operator": "DoesNotExist"}
    found = _webhook(
        f"inferenceservice.{SERVER}.pod-mutator",
        place.client(MUTATE_PODS),
        _rule(PODS, "CREATE"),
    )
    return {
        **found,
        "objectSelector": {"matchExpressions": [exists]},
        "namespaceSelector": {"matchExpressions": [control_plane]},
        "reinvocationPolicy": "IfNeeded",
    }


def _webhook(name: str, client: JsonObject, rule: JsonObject) -> JsonObject:
    return {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": client,
        "failurePolicy": "Fail",
        "matchPolicy": "Exact",  # each version has a webhook of its own
        "rules": [rule],
        "sideEffects": "None",
        "timeoutSeconds": 10,
    }


def _rule(resource: Resource, *operations: str) -> JsonObject:
    return {
        "apiGroups": [resource.group],
        "apiVersions": [resource.version],
        "operations": list(operations),
        "resources": [resource.plural],
        "scope": "Namespaced" if resource.namespaced else "Cluster",
    }


def _name(resource: Resource, role: str) -> str:
    return f"{resource.singular}.{resource.version}.{SERVER}.{role}"

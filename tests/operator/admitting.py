"""An API server's part in admission: webhooks are found, asked over TLS, and obeyed.

A small model of "Dynamic Admission Control" of Kubernetes, before the embedded API server.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import httpx
from tests.operator.played_cluster import TOKEN, PlayedCluster, make_registry

from sampan.api.scheme import GROUP
from sampan.apiserver.messages import Reply, Request, make_error
from sampan.machinery.errors import ApiError
from sampan.machinery.patch import json_patch
from sampan.machinery.registry import JsonObject, Registry
from sampan.platforms.kubernetes.kinds import PODS
from sampan.webhooks.configurations import DEFINITIONS, MUTATING, VALIDATING

OPERATIONS = {"POST": "CREATE", "PUT": "UPDATE"}


class Denied(ApiError):
    """What a webhook refused."""

    code, reason = 403, "Forbidden"


class Unanswered(ApiError):
    """What an API server answers for a webhook that it cannot ask (`failurePolicy: Fail`)."""

    code, reason = 500, "InternalError"


@dataclass
class Admitting:
    """The door of a cluster that asks webhooks first."""

    cluster: PlayedCluster

    async def send(self, obj: JsonObject, method: str = "POST", plural: str = "") -> Reply:
        """Send an object as a user does; the answer is the cluster's."""
        try:
            admitted = await self.admit(obj, OPERATIONS[method], plural)
        except ApiError as error:
            return make_error(error)
        group = obj["apiVersion"]
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        path = f"{root}/namespaces/{obj['metadata']['namespace']}/{plural}"
        headers = {
            "host": "127.0.0.1",
            "authorization": f"Bearer {TOKEN}",
            "content-type": "application/json",
        }
        body = json.dumps(admitted).encode()
        return await self.cluster.door.handle(Request(method, path, {}, headers, body))

    async def admit(self, obj: JsonObject, operation: str, plural: str) -> JsonObject:
        """Return an object as webhooks let it through; raise Denied or Unanswered."""
        async for webhook in self._webhooks(MUTATING.id, obj, operation, plural):
            response = await self._review(webhook, obj, operation)
            if response.get("patch"):
                obj = json_patch(obj, json.loads(base64.b64decode(response["patch"])))
        async for webhook in self._webhooks(VALIDATING.id, obj, operation, plural):
            await self._review(webhook, obj, operation)
        return obj

    async def _webhooks(
        self, resource: str, obj: JsonObject, operation: str, plural: str
    ) -> AsyncIterator[JsonObject]:
        for configuration in (await self.cluster.store.list(resource)).items:
            for webhook in configuration["webhooks"]:
                if any(matches(r, obj, operation, plural) for r in webhook["rules"]):
                    yield webhook

    async def _review(self, webhook: JsonObject, obj: JsonObject, operation: str) -> JsonObject:
        request = {"uid": "1", "operation": operation, "object": obj, "oldObject": None}
        request["namespace"] = obj["metadata"]["namespace"]
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        client = webhook["clientConfig"]
        bundle = base64.b64decode(client["caBundle"]).decode()
        trust = ssl.create_default_context(cadata=bundle)
        async with httpx.AsyncClient(verify=trust, trust_env=False) as asking:
            try:
                answer = await asking.post(client["url"], json={**review, "request": request})
            except httpx.TransportError as error:
                asked = f'failed calling webhook "{webhook["name"]}": failed to call webhook'
                raise Unanswered(f'{asked}: Post "{client["url"]}": {error}') from error
        response: JsonObject = answer.json()["response"]
        if not response["allowed"]:
            text = f'admission webhook "{webhook["name"]}" denied the request: '
            raise Denied(text + response["status"]["message"])
        return response


def matches(rule: JsonObject, obj: JsonObject, operation: str, plural: str) -> bool:
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    return (
        group in rule["apiGroups"]
        and version in rule["apiVersions"]
        and operation in rule["operations"]
        and plural in rule["resources"]
    )


def make_plain_registry() -> Registry:
    """The kinds as a cluster knows them that has only their definitions, and its own webhooks."""
    served = [r for r in make_registry() if r.id != PODS.id]
    plain = [replace(r, admit=None, unknown=None) if r.group == GROUP else r for r in served]
    return Registry((*plain, PODS, MUTATING, VALIDATING, DEFINITIONS))

"""Keeping certificates good and trusted: the Secret, and the `caBundle` of what leads here."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sampan.machinery.authority import Pair
from sampan.machinery.clock import Clock
from sampan.machinery.errors import AlreadyExists, Conflict
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Store
from sampan.webhooks.certificates import SECRET_NAME, make_secret, read_pair
from sampan.webhooks.configurations import DEFINITIONS, MUTATING, NAME, SERVICE, VALIDATING
from sampan.webhooks.judging import get_or_none

TRIES = 5

Change = Callable[[JsonObject, str], JsonObject]
"""An object and the bundle in base64 in, the object with the bundle out."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The certificate for `names`, in a Secret of `namespace`.

    `converted`: the CustomResourceDefinitions whose conversion is asked for here.
    """

    store: Store
    clock: Clock
    namespace: str
    names: tuple[str, ...]
    converted: tuple[str, ...] = ()

    async def apply(self) -> Pair:
        """Return a pair that is good, the same for all replicas, and trusted. Repeat daily."""
        pair = await self._pair()
        for resource in (MUTATING, VALIDATING):
            await self._trust(Key(resource.id, "", NAME), pair.authority, with_bundle)
        led = partial(with_conversion_bundle, namespace=self.namespace)
        for name in self.converted:
            await self._trust(Key(DEFINITIONS.id, "", name), pair.authority, led)
        return pair

    async def _pair(self) -> Pair:
        key = Key("secrets", self.namespace, SECRET_NAME)
        for _ in range(TRIES):
            secret, now = await get_or_none(self.store, key), self.clock.now()
            found = read_pair(secret, self.names, now)
            if found is not None:
                return found
            fresh = make_secret(self.namespace, self.names, now, secret)
            try:
                write = self.store.update if secret else self.store.create
                await write("secrets", fresh)
            except (AlreadyExists, Conflict):
                continue  # another replica was first: its pair is as good
        raise Conflict(f'Secret "{SECRET_NAME}" is written again and again by somebody else')

    async def _trust(self, key: Key, authority: bytes, change: Change) -> None:
        """Write the bundle where it is not there yet; an object that is absent needs none."""
        bundle = base64.b64encode(authority).decode()
        for _ in range(TRIES):
            found = await get_or_none(self.store, key)
            if found is None:
                return
            wanted = change(found, bundle)
            if wanted == found:
                return
            try:
                await self.store.update(key.resource, wanted)
            except Conflict:
                continue
            return


def with_bundle(configuration: JsonObject, bundle: str) -> JsonObject:
    """Return a webhook configuration with this `caBundle` in every webhook. Pure.

    Now that they answer they must be heard: a Helm chart's say `Ignore` until then.
    """
    webhooks = [
        {
            **w,
            "clientConfig": {**w.get("clientConfig", {}), "caBundle": bundle},
            "failurePolicy": "Fail",
        }
        for w in configuration.get("webhooks") or ()
    ]
    return {**configuration, "webhooks": webhooks}


def with_conversion_bundle(definition: JsonObject, bundle: str, namespace: str) -> JsonObject:
    """Return a CustomResourceDefinition with this `caBundle`, where a webhook converts it. Pure.

    Our own Service is looked for in our `namespace`: a Helm chart's definitions cannot know it.
    """
    conversion = definition["spec"].get("conversion") or {}
    webhook = conversion.get("webhook")
    if not webhook:
        return definition
    client = {**webhook.get("clientConfig", {}), "caBundle": bundle}
    service = client.get("service") or {}
    if service.get("name") == SERVICE:
        client["service"] = {**service, "namespace": namespace}
    changed = {**conversion, "webhook": {**webhook, "clientConfig": client}}
    return {**definition, "spec": {**definition["spec"], "conversion": changed}}

"""What the operator follows, read from its caches; anything else from the cluster."""

from __future__ import annotations

from sampan.machinery.errors import NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key, Page
from sampan.operator.cache import Cache
from sampan.operator.cluster import OWN, Cluster
from sampan.platforms.kubernetes.kinds import CONFIG_MAPS


class CachedReads:
    """The webhooks' reads: a verdict costs no call for what is followed anyway."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._caches = {
            OWN[plural].id: cluster.own[plural]
            for plural in OWN
            if OWN[plural].id in cluster.followings
        }

    async def get(self, key: Key) -> JsonObject:
        """Return an object; raise NotFound."""
        cache = self._cache(key.resource, key.namespace)
        if cache is None:
            return await self._cluster.store.get(key)
        found = cache.get(key.namespace, key.name)
        if found is None:
            raise NotFound(f'{key.resource} "{key.name}" not found')
        return found

    async def list(self, resource: str, namespace: str = "") -> Page:
        """Return the objects of a namespace, "" for all."""
        cache = self._caches.get(resource)
        if cache is None:
            return await self._cluster.store.list(resource, namespace)
        places = [p for p in cache.places() if not namespace or p[0] == namespace]
        found = [cache.get(*place) for place in sorted(places)]
        return Page([obj for obj in found if obj is not None], "")

    def _cache(self, resource: str, namespace: str) -> Cache | None:
        if resource == CONFIG_MAPS.id and namespace == self._cluster.namespace:
            return self._cluster.config
        return self._caches.get(resource)

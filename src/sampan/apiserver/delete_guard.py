"""What a delete passes first: a resource may refuse to go while other objects use it."""

from __future__ import annotations

from sampan.apiserver.admission import webhook_of
from sampan.machinery.errors import Forbidden, NotFound
from sampan.machinery.registry import JsonObject, Resource
from sampan.machinery.store import Key, Store


async def check_delete(store: Store, resource: Resource, key: Key) -> None:
    """Raise Forbidden, in the words of the resource, where an object may not be deleted."""
    guard = resource.delete_guard
    if guard is None:
        return
    obj = await store.get(key)
    found = [await _get(store, Key(*user)) for user in guard.users(obj)]
    refusal = guard.refuse(obj, tuple(user for user in found if user is not None))
    if refusal:
        raise Forbidden(f'admission webhook "{webhook_of(resource)}" denied the request: {refusal}')


async def _get(store: Store, key: Key) -> JsonObject | None:
    try:
        return await store.get(key)
    except NotFound:
        return None

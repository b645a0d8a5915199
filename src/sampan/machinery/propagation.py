"""Deleting with a propagation policy: what becomes of the objects that a deleted one owns.

(Kubernetes, "Garbage Collection": `propagationPolicy`.) The policy is recorded as a finalizer;
`sampan.machinery.collector` does what it says and takes it off.
"""

from __future__ import annotations

from enum import StrEnum

from sampan.machinery.errors import Conflict
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import NO_PRECONDITIONS, Key, Preconditions, Store

FOREGROUND_FINALIZER = "foregroundDeletion"
ORPHAN_FINALIZER = "orphan"

_ATTEMPTS = 5
"""Tries to add the finalizer while others write the same object."""


class Propagation(StrEnum):
    """`DeleteOptions.propagationPolicy`."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


_FINALIZER = {
    Propagation.FOREGROUND: FOREGROUND_FINALIZER,
    Propagation.ORPHAN: ORPHAN_FINALIZER,
}


def make_finalizers(finalizers: list[str], policy: Propagation) -> list[str]:
    """Return the finalizers with that of the policy, and without that of any other policy."""
    kept = [f for f in finalizers if f not in (FOREGROUND_FINALIZER, ORPHAN_FINALIZER)]
    return [*kept, _FINALIZER[policy]] if policy in _FINALIZER else kept


async def apply_delete(
    store: Store,
    key: Key,
    policy: Propagation = Propagation.BACKGROUND,
    preconditions: Preconditions = NO_PRECONDITIONS,
    *,
    dry_run: bool = False,
) -> JsonObject:
    """Delete an object under a policy; return its last state, or its state while it waits.

    Raises NotFound, and Conflict when a precondition does not hold.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return await _delete_once(store, key, policy, preconditions, dry_run=dry_run)
        except Conflict:
            # Checks the caller's preconditions anew: one that does not hold ends the tries.
            await store.delete(key, preconditions, dry_run=True)
    return await _delete_once(store, key, policy, preconditions, dry_run=dry_run)


async def _delete_once(
    store: Store, key: Key, policy: Propagation, preconditions: Preconditions, *, dry_run: bool
) -> JsonObject:
    await store.delete(key, preconditions, dry_run=True)
    obj = await store.get(key)
    metadata = obj["metadata"]
    finalizers = metadata.get("finalizers", [])
    wanted = make_finalizers(finalizers, policy)
    if dry_run or "deletionTimestamp" in metadata or wanted == finalizers:
        return await store.delete(key, preconditions, dry_run=dry_run)
    changed = {**obj, "metadata": {**metadata, "finalizers": wanted}}
    marked = await store.update(key.resource, changed)
    # Nobody else may have written in between: what is deleted is what was marked.
    version = marked["metadata"]["resourceVersion"]
    return await store.delete(key, Preconditions(metadata["uid"], version))

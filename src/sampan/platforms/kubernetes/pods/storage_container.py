"""Which ClusterStorageContainer fetches a URI.

KServe, storage containers: the one that the service names, which must fit, else the first that fits
in the order of the list; its container is merged over the built-in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sampan.machinery.errors import Forbidden
from sampan.plan.storage_containers import refuse_named, select_fitting


def select_storage_container(
    uri: str, containers: Sequence[Mapping[str, Any]], named: str = ""
) -> Mapping[str, Any] | None:
    """Return the ClusterStorageContainer for a URI, None for the built-in one; raise Forbidden."""
    if not named:
        return select_fitting(uri, containers)
    refusal = refuse_named(uri, containers, named)
    if refusal:
        raise Forbidden(refusal)
    return next(c for c in containers if c["metadata"]["name"] == named)

"""`sampan install --handover`: a cluster is KServe's again, or nobody's, and no pod notices."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.cli.output import SYSTEM, USAGE, CliError, say

if TYPE_CHECKING:
    from sampan.machinery.registry import Registry
    from sampan.operator.cluster_store import ClusterStore


def hand_over(
    to: str, namespace: str, kubeconfig: Path | None, context: str, *, dry_run: bool
) -> None:
    """Take the steps, telling each; raise CliError."""
    if to not in ("kserve", "nobody"):
        text = "write kserve, who knows these objects, or nobody, to take the operator out"
        raise CliError(f'--handover "{to}": {text}', USAGE)
    store = connect_cluster(kubeconfig, context)
    asyncio.run(_hand_over(to, store, namespace, dry_run=dry_run))


async def _hand_over(to: str, store: ClusterStore, namespace: str, *, dry_run: bool) -> None:
    from sampan.machinery.clock import SystemClock
    from sampan.machinery.errors import ApiError
    from sampan.migration.handover import Handover
    from sampan.migration.leaving import StillActing
    from sampan.migration.removal import Removal

    clock = SystemClock()
    way = (
        Handover(store, clock, namespace, dry_run)
        if to == "kserve"
        else Removal(store, clock, namespace, _make_registry(), dry_run)
    )
    try:
        async for text in way.apply():
            say(f"{text} (dry run)" if dry_run else text)
    except ApiError as error:
        raise CliError(f"{error.message}; what was done is done, repeat for the rest", 3) from None
    except StillActing as error:
        raise CliError(str(error), SYSTEM) from None
    finally:
        await store.close()


def connect_cluster(kubeconfig: Path | None, context: str) -> ClusterStore:
    """Return a cluster's store, by a kubeconfig; raise CliError."""
    import os

    from sampan.operator.cluster import SELECTORS
    from sampan.operator.cluster_store import ClusterStore
    from sampan.operator.connection import ConfigurationError, connect

    try:
        connection = connect(kubeconfig, context or os.environ.get("SAMPAN_CONTEXT", ""))
    except ConfigurationError as error:
        raise CliError(str(error), USAGE) from None
    except ImportError:
        raise CliError(
            'clusters need a further package: pip install "sampan[kubernetes]"'
        ) from None
    return ClusterStore(connection, _make_registry(), SELECTORS)


def _make_registry() -> Registry:
    """Return every kind that an installation has, or makes."""
    from sampan.machinery.registry import Registry
    from sampan.migration.removal import RIGHTS
    from sampan.operator.cluster import RESOURCES
    from sampan.webhooks.configurations import DEFINITIONS, MUTATING, VALIDATING

    return Registry((*RESOURCES, MUTATING, VALIDATING, DEFINITIONS, *RIGHTS))

"""`sampan install --handover kserve`: a cluster is KServe's again, and no pod notices."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.cli.output import SYSTEM, USAGE, CliError, say

if TYPE_CHECKING:
    from sampan.operator.cluster_store import ClusterStore


def hand_over(
    to: str, namespace: str, kubeconfig: Path | None, context: str, *, dry_run: bool
) -> None:
    """Take the steps, telling each; raise CliError."""
    if to != "kserve":
        raise CliError(f'--handover "{to}": write kserve; nobody else knows these objects', USAGE)
    asyncio.run(_hand_over(connect_cluster(kubeconfig, context), namespace, dry_run=dry_run))


async def _hand_over(store: ClusterStore, namespace: str, *, dry_run: bool) -> None:
    from sampan.machinery.clock import SystemClock
    from sampan.machinery.errors import ApiError
    from sampan.migration.handover import Handover, StillActing

    try:
        async for text in Handover(store, SystemClock(), namespace, dry_run).apply():
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

    from sampan.machinery.registry import Registry
    from sampan.operator.cluster import RESOURCES, SELECTORS
    from sampan.operator.cluster_store import ClusterStore
    from sampan.operator.connection import ConfigurationError, connect
    from sampan.webhooks.configurations import MUTATING, VALIDATING

    try:
        connection = connect(kubeconfig, context or os.environ.get("SAMPAN_CONTEXT", ""))
    except ConfigurationError as error:
        raise CliError(str(error), USAGE) from None
    except ImportError:
        raise CliError(
            'clusters need a further package: pip install "sampan[kubernetes]"'
        ) from None
    return ClusterStore(connection, Registry((*RESOURCES, MUTATING, VALIDATING)), SELECTORS)

"""`sampan migrate check`: what would change if Sampan took over a cluster that KServe runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sampan.cli.handover import connect_cluster
from sampan.cli.output import SYSTEM, USAGE, CliError, say

if TYPE_CHECKING:
    from sampan.migration.check import Report
    from sampan.operator.cluster_store import ClusterStore

ACTIONS = ("check",)
FORMS = ("text", "json")


def migrate(
    action: Annotated[str, typer.Argument(help="check")],
    filename: Annotated[
        list[str] | None,
        typer.Option("--filename", "-f", help="files of a cluster, instead of the cluster"),
    ] = None,
    context: Annotated[str, typer.Option(help="of the kubeconfig; its current one if none")] = "",
    kubeconfig: Annotated[Path | None, typer.Option(help="instead of $KUBECONFIG")] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="where KServe is installed")
    ] = "kserve",
    output: Annotated[str, typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Tell what would change if Sampan took a KServe installation over. Exits with 1 if any."""
    if action not in ACTIONS:
        raise CliError(f'"{action}" is nothing to do here; write "check"', USAGE)
    if output not in FORMS:
        raise CliError(f'-o "{output}": choose text or json', USAGE)
    store = _read_files(filename) if filename else connect_cluster(kubeconfig, context)
    report = asyncio.run(_check(store, namespace))
    from sampan.migration.report import render_json, render_text

    say(json.dumps(render_json(report), indent=2) if output == "json" else render_text(report))
    if not report.clean:
        raise SystemExit(1)


async def _check(store: ClusterStore, namespace: str) -> Report:
    from sampan.app.cluster_effects import cluster_warnings
    from sampan.machinery.clock import SystemClock
    from sampan.machinery.errors import ApiError
    from sampan.migration.check import check
    from sampan.migration.survey import gather_survey

    try:
        survey = await gather_survey(store, namespace)
        return await check(survey, cluster_warnings, SystemClock().now())
    except ApiError as error:
        raise CliError(error.message, SYSTEM) from None
    finally:
        await store.close()


def _read_files(names: list[str]) -> ClusterStore:
    from sampan.cli.files import load_objects
    from sampan.migration.recorded import RecordedConnection
    from sampan.operator.cluster import RESOURCES
    from sampan.operator.cluster_store import ClusterStore

    objects = [one.obj for one in load_objects(names, words=False)]
    return ClusterStore(RecordedConnection(objects, RESOURCES), RESOURCES)

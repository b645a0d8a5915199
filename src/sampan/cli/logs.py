"""`sampan logs`: what the replicas of a service wrote."""

from __future__ import annotations

import sys
import threading
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from sampan.cli.client import ApiClient
from sampan.cli.daemon import connect
from sampan.cli.output import USAGE, CliError
from sampan.cli.targets import GRAPH, service_name, service_path

LABELS = "serving.kserve.io"
COMPONENTS = ("predictor", "transformer", "explainer")


def logs(
    name: Annotated[str, typer.Argument(help="An InferenceService, ig/GRAPH, or a replica of one")],
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come")] = False,
    tail: Annotated[int, typer.Option(help="Lines from the end; -1 for all")] = -1,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Before its restart")] = False,
    component: Annotated[str, typer.Option(help="Only predictor, transformer or explainer")] = "",
    timestamps: Annotated[bool, typer.Option(help="Begin each line with its time")] = False,
) -> None:
    """Print the logs of a service's replicas; several are told apart by their names."""
    if component not in ("", *COMPONENTS):
        raise CliError(
            f'--component "{component}": choose {", ".join(COMPONENTS[:-1])} or {COMPONENTS[-1]}',
            USAGE,
        )
    client = connect()
    replicas = find_replicas(client, namespace, service_name(name), component)
    query = {"follow": str(follow).lower(), "previous": str(previous).lower()}
    query |= {"timestamps": "true"} if timestamps else {}
    query |= {"tailLines": str(tail)} if tail >= 0 else {}
    if client.server.context:  # a cluster's pods have sidecars; the daemon's have one container
        query["container"] = "kserve-container"
    paths = [f"/api/v1/namespaces/{namespace}/pods/{r}/log?{urlencode(query)}" for r in replicas]
    prefixes = [f"[{r}] " if len(replicas) > 1 else "" for r in replicas]
    lock = threading.Lock()
    jobs = [
        threading.Thread(target=_copy, args=(client, path, prefix.encode(), lock), daemon=True)
        for path, prefix in zip(paths, prefixes, strict=True)
    ]
    if not follow:
        for path, prefix in zip(paths, prefixes, strict=True):
            _copy(client, path, prefix.encode(), lock)
        return
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


def find_replicas(client: ApiClient, namespace: str, name: str, component: str = "") -> list[str]:
    """Return the replicas of a service or of its component, or the one replica with that name."""
    kind = "inferencegraph" if name.startswith(GRAPH) else "inferenceservice"
    selector = f"{LABELS}/{kind}={name.removeprefix(GRAPH)}" + (
        f",component={component}" if component else ""
    )
    names = _select_replicas(client, namespace, selector)
    if names:
        return names
    pods = client.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    if name in {pod["metadata"]["name"] for pod in pods}:
        return [name]
    service = client.get(service_path(namespace, name))  # no such service: says so
    runtime = _shared_runtime(service.get("status") or {})
    shared = f"{LABELS}/servingruntime={runtime}"
    names = _select_replicas(client, namespace, shared) if runtime else []
    if names:
        return names
    whose = f'the {component} of "{name}"' if component else f'"{name}"'
    raise CliError(f"{whose} has no replica yet; see `sampan why {name} -n {namespace}`")


def _select_replicas(client: ApiClient, namespace: str, selector: str) -> list[str]:
    listed = client.get(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector})
    return [item["metadata"]["name"] for item in listed["items"]]


def _shared_runtime(status: dict[str, Any]) -> str:
    """Return whose processes a service of ModelMesh mode shares with others ("": nobody's)."""
    if status.get("deploymentMode") != "ModelMesh":
        return ""
    return str(status.get("servingRuntimeName") or status.get("clusterServingRuntimeName") or "")


def _copy(client: ApiClient, path: str, prefix: bytes, lock: threading.Lock) -> None:
    for line in client.lines(path):
        with lock:
            sys.stdout.buffer.write(prefix + line)
            sys.stdout.buffer.flush()

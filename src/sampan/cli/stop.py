"""`sampan stop` and `sampan start`: nothing of a service runs, or it does again."""

from __future__ import annotations

from typing import Annotated

import typer

from sampan.cli.daemon import connect
from sampan.cli.output import say
from sampan.cli.rollout_patch import JSON_PATCH, make_annotation
from sampan.cli.targets import object_name, service_name, service_path

STOP = "serving.kserve.io/stop"

Names = Annotated[list[str], typer.Argument(help="InferenceServices, or graphs as ig/NAME")]
Namespace = Annotated[str, typer.Option("--namespace", "-n")]


def stop(names: Names, namespace: Namespace = "default") -> None:
    """End what runs for services, which stay as they are otherwise; `sampan start` brings it back.

    It is the annotation serving.kserve.io/stop, as kubectl would set it.
    """
    _annotate(names, namespace, "true")


def start(names: Names, namespace: Namespace = "default") -> None:
    """Run services that were stopped."""
    _annotate(names, namespace, "")


def _annotate(names: list[str], namespace: str, value: str) -> None:
    client = connect()
    paths = [service_path(namespace, service_name(name)) for name in names]
    found = [client.get(path) for path in paths]  # all are there, or nothing is changed
    for path, obj in zip(paths, found, strict=True):
        given = str((obj["metadata"].get("annotations") or {}).get(STOP, "")).lower() == "true"
        word = "stopped" if value else "started"
        if given == bool(value):
            say(f"{object_name(obj)} is {word} already")
            continue
        patch = make_annotation(obj, STOP, value)
        client.request("PATCH", path, body=patch, content_type=JSON_PATCH)
        say(f"{object_name(obj)} {word}")

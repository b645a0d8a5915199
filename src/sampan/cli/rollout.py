"""`sampan rollout`: how far a service's newest revision has got, and forward, back or on hold."""

from __future__ import annotations

from typing import Annotated

import typer

from sampan.cli.client import ApiClient, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.output import USAGE, CliError, say
from sampan.cli.rollout_history import Kept, find_kept, render_history, render_revision
from sampan.cli.rollout_patch import (
    JSON_PATCH,
    make_pause,
    make_promotion,
    make_undo,
    select_undone,
)
from sampan.cli.targets import object_name, service_name, service_path

ACTIONS = ("history", "status", "undo", "promote", "pause", "resume")
COMPONENTS = ("predictor", "transformer", "explainer")


def rollout(
    action: Annotated[str, typer.Argument(help=", ".join(ACTIONS))],
    name: Annotated[str, typer.Argument(help="An InferenceService: NAME or isvc/NAME")],
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    component: Annotated[str, typer.Option(help=", ".join(COMPONENTS))] = "predictor",
    revision: Annotated[int, typer.Option(min=0, help="history: show this one")] = 0,
    to_revision: Annotated[int, typer.Option(min=0, help="undo: go back to this one")] = 0,
    canary: Annotated[str, typer.Option(help="promote: which entry of spec.canary")] = "",
    watch: Annotated[bool, typer.Option(help="status: wait until it is done")] = True,
    timeout: Annotated[float, typer.Option(help="status: seconds to wait")] = 300.0,
) -> None:
    """Look at the revisions of a service, and go forward, back, or wait."""
    if action not in ACTIONS:
        near = ", ".join(f'"{known}"' for known in ACTIONS)
        raise CliError(f'"{action}" is nothing to do here; write one of {near}', USAGE)
    if component not in COMPONENTS:
        raise CliError(f'"{component}" is no component; write one of {", ".join(COMPONENTS)}', 2)
    client, service = connect(), service_name(name)
    path = service_path(namespace, service)
    if action == "status":
        from sampan.cli.rollout_status import follow

        follow(client, path, component, timeout if watch else 0.0)
        return
    obj = client.get(path)
    if action in ("history", "undo"):
        from sampan.cli.rollout_deployment import is_deployed, refuse_history

        if is_deployed(client, obj):
            raise refuse_history(obj, component)
    kept = find_kept(client, obj, component)
    if action == "history":
        say(render_revision(kept, revision) if revision else render_history(obj, component, kept))
    elif action == "undo":
        _undo(client, path, (obj, component), kept, to_revision)
    elif action == "promote":
        _change(client, path, make_promotion(obj, component, canary), "promoted")
    else:
        pausing = action == "pause"
        _change(client, path, make_pause(obj, pausing), "paused" if pausing else "resumed")


def _undo(
    client: ApiClient, path: str, what: tuple[JsonObject, str], kept: list[Kept], number: int
) -> None:
    obj, component = what
    back = select_undone(obj, component, kept, number)
    _change(client, path, make_undo(obj, component, back.spec), f"rolled back to {back.name}")


def _change(client: ApiClient, path: str, patch: list[JsonObject], done: str) -> None:
    answer = client.request("PATCH", path, body=patch, content_type=JSON_PATCH)
    say(f"{object_name(answer.body)} {done}")

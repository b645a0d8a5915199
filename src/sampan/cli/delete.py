"""`sampan delete`: remove objects, and wait until what they ran has ended."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from sampan.cli.client import ApiClient, ApiProblem
from sampan.cli.daemon import connect
from sampan.cli.files import load_objects
from sampan.cli.output import SYSTEM, USAGE, CliError, complain, say
from sampan.cli.targets import find_resource, find_targets, object_name, object_path


def delete(
    what: Annotated[list[str] | None, typer.Argument(help="KIND NAME..., or KIND/NAME...")] = None,
    filename: Annotated[list[str] | None, typer.Option("--filename", "-f")] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    every: Annotated[bool, typer.Option("--all", help="All objects of the kind")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until they are gone")] = True,
    ignore_not_found: Annotated[bool, typer.Option("--ignore-not-found")] = False,
) -> None:
    """Remove objects and what runs for them."""
    client = connect()
    paths = _named(client, what or [], namespace, every=every) + _filed(client, filename, namespace)
    if not paths:
        raise CliError("nothing to delete: name a KIND NAME, --all, or a file with -f", 2)
    missing = [path for path in paths if not _delete(client, path)]
    if missing and not ignore_not_found:
        raise SystemExit(1)
    if wait:
        for path in paths:
            wait_until_gone(client, path)


def wait_until_gone(client: ApiClient, path: str, seconds: float = 90.0) -> None:
    """Wait until the object is not there; raise CliError after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            client.get(path)
        except ApiProblem as problem:
            if problem.reason == "NotFound":
                return
            raise
        time.sleep(0.05)
    raise CliError(f"{path} is still there after {seconds:.0f} s; see `sampan why`", SYSTEM)


def _delete(client: ApiClient, path: str) -> bool:
    try:
        found = client.get(path)
        client.request("DELETE", path)
    except ApiProblem as problem:
        if problem.reason != "NotFound":
            raise
        complain(problem.message)
        return False
    kind, _, name = object_name(found).partition("/")
    say(f'{kind} "{name}" deleted')
    return True


def _named(client: ApiClient, what: list[str], namespace: str, *, every: bool) -> list[str]:
    if not what:
        return []
    paths: list[str] = []
    for target in find_targets(client, what):
        names = target.names
        if not all(names):
            raise CliError('"" is no name, and would mean all; give names, or --all', USAGE)
        if every and not names:
            items = client.get(target.path(namespace))["items"]
            names = tuple(item["metadata"]["name"] for item in items)
        elif not names:
            raise CliError(f"which {target.resource['name']}? give names, or --all", 2)
        paths += [target.path(namespace, name) for name in names]
    return paths


def _filed(client: ApiClient, filename: list[str] | None, namespace: str) -> list[str]:
    """Return the paths of the objects of files, the last first: what stands in a namespace, say,
    goes before the namespace that was written above it.
    """
    if not filename:
        return []
    paths = []
    for one in load_objects(filename):
        metadata = one.obj.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not (isinstance(metadata, dict) and isinstance(name, str) and name):
            place = f"{one.source}:{one.document.line}"
            raise CliError(f"{place}: metadata.name is missing, so nothing was deleted; give it")
        resource = find_resource(client, str(one.obj.get("kind", "")))
        paths.append(object_path(resource, str(metadata.get("namespace") or namespace), name))
    return paths[::-1]

"""`sampan diff`: what applying files would change, or how they differ from other files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeAlias

import typer

from sampan.cli.apply import Files, Namespace, apply_all
from sampan.cli.client import ApiProblem, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.differences import difference
from sampan.cli.files import load_objects
from sampan.cli.output import USAGE, USER, CliError, say, warn
from sampan.cli.targets import Target, find_resource

Pair: TypeAlias = tuple[JsonObject | None, JsonObject | None]
"""An object before and after; None where it is not there."""


def diff(
    filename: Files,
    namespace: Namespace = "",
    against: Annotated[
        list[str] | None, typer.Option(help="Files to compare with; no Sampan need run")
    ] = None,
) -> None:
    """Show what applying files would change. Exits with 1 where anything differs."""
    try:
        pairs = _offline(filename, against, namespace) if against else _live(filename, namespace)
        texts = [text for before, after in pairs if (text := difference(before, after))]
    except CliError as error:
        # 1 says that something differs, so what is wrong with a file is said by 2.
        raise CliError(error.message, USAGE if error.code == USER else error.code) from None
    for text in texts:
        say(text)
    if texts:
        raise SystemExit(1)


def _live(filename: list[str], namespace: str) -> Iterator[Pair]:
    """Yield the stored object, and what the server would make of the one in the file."""
    client = connect()
    for _, after in apply_all(client, load_objects(filename), namespace, dry_run=True):
        target = Target(find_resource(client, str(after["kind"]).lower()))
        metadata = after["metadata"]
        try:
            path = target.path(metadata.get("namespace", ""), metadata["name"])
            before = client.get(path)
        except ApiProblem as problem:
            if problem.reason != "NotFound":
                raise
            before = None
        yield before, after


def _offline(filename: list[str], against: list[str], namespace: str) -> Iterator[Pair]:
    """Yield the objects of both sides as admission would store them, by kind and name."""
    before, after = _admitted(against, namespace), _admitted(filename, namespace)
    for key in dict.fromkeys((*before, *after)):
        yield before.get(key), after.get(key)


def _admitted(names: list[str], namespace: str) -> dict[tuple[str, ...], JsonObject]:
    from sampan.api.scheme import REGISTRY
    from sampan.app.bootstrap import CONFIGURATION
    from sampan.app.offline_admission import judge, select_configuration

    loaded = load_objects(names)
    data = select_configuration([one.obj for one in loaded], CONFIGURATION["data"])
    found: dict[tuple[str, ...], JsonObject] = {}
    mistakes: list[str] = []
    for one in loaded:
        judged = judge(_placed(one.obj, namespace), data)
        for text in judged.warnings:
            warn(f"{one.source}:{one.document.line}: {text}")
        mistakes += [f"{one.source}:{one.document.line_of(e.path)}: {e}" for e in judged.errors]
        resource = REGISTRY.for_object(one.obj)
        if judged.obj is not None and resource is not None:
            metadata = judged.obj["metadata"]
            key = (resource.id, metadata.get("namespace", ""), metadata.get("name", ""))
            found[key] = judged.obj
    if mistakes:
        raise CliError("\n".join(mistakes))
    return found


def _placed(obj: JsonObject, namespace: str) -> JsonObject:
    metadata = obj.get("metadata")
    if not namespace or not isinstance(metadata, dict) or metadata.get("namespace"):
        return obj
    return {**obj, "metadata": {**metadata, "namespace": namespace}}

"""`sampan apply -f`: create or change objects, all of them or none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from sampan.cli.client import ApiClient, ApiProblem, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.files import Loaded, load_objects
from sampan.cli.output import USAGE, USER, CliError, say, warn
from sampan.cli.targets import object_path

FIELD_MANAGER = "sampan"

_UNKNOWN = re.compile(r'(unknown field "([^"]+)"(?:; did you mean "[^"]+")?)')
"""One field of the API server's strict decoding error, which puts them all on one line."""

Files = Annotated[
    list[str], typer.Option("--filename", "-f", help="File, folder or - ; repeatable")
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the objects")]


def apply(
    filename: Files,
    namespace: Namespace = "",
    dry_run: Annotated[
        str, typer.Option(help="`server`: check and default, store nothing")
    ] = "none",
    output: Annotated[str, typer.Option("--output", "-o", help="yaml, json or name")] = "",
) -> None:
    """Create or change the objects of files, all of them or none."""
    if dry_run not in {"none", "server", "client"}:
        raise CliError(f'--dry-run "{dry_run}": choose none, server or client', USAGE)
    if output not in {"", "yaml", "json", "name"}:
        raise CliError(f'-o "{output}": choose yaml, json or name', USAGE)
    client = connect()
    loaded = load_objects(filename)
    for told in apply_all(client, loaded, namespace, dry_run=dry_run != "none"):
        say(_told(told, output, dry_run != "none"))


def apply_all(
    client: ApiClient, loaded: list[Loaded], namespace: str = "", *, dry_run: bool = False
) -> Iterator[tuple[str, JsonObject]]:
    """Apply objects and yield `(created|configured|unchanged, object)`.

    All are tried without storing first, so that a mistake in one leaves nothing half-applied; every
    mistake of every file is reported, with its line.
    """
    placed = _place_all(client, loaded, namespace)
    untried = _made_namespaces(placed)
    for one, path, obj in placed:
        before = _existing(client, path)
        answer = _send(client, path, obj, dry_run=dry_run)
        if obj["metadata"].get("namespace") in untried:
            _tell_warnings(one, answer.warnings, alone=len(placed) == 1)
        yield _verdict(before, answer.body), answer.body


def _made_namespaces(placed: list[tuple[Loaded, str, JsonObject]]) -> set[str]:
    """Return the namespaces that come with the objects: what is in them cannot be tried before."""
    return {o["metadata"]["name"] for _, _, o in placed if o.get("kind") == "Namespace"}


def _place_all(
    client: ApiClient, loaded: list[Loaded], namespace: str
) -> list[tuple[Loaded, str, JsonObject]]:
    """Return every object with its path; raise CliError with all that is wrong with any."""
    placed: list[tuple[Loaded, str, JsonObject]] = []
    problems: list[tuple[int, str]] = []
    taken: dict[str, str] = {}
    for number, one in enumerate(loaded):
        try:
            path, obj = _place(client, one, namespace)
        except CliError as error:
            if isinstance(error, ApiProblem) or error.code != USER:
                raise
            problems.append((number, error.message))
            continue
        placed.append((one, path, obj))
        if path in taken:
            name = f'{obj["kind"]} "{obj["metadata"]["name"]}"'
            text = f"{_where(one)}: {name} is at {taken[path]} too; remove one of them"
            problems.append((number, text))
        taken.setdefault(path, _where(one))
    numbers = {id(one): number for number, one in enumerate(loaded)}
    problems += [(numbers[id(one)], text) for one, text in _refusals(client, placed)]
    if problems:
        raise CliError("\n".join(text for _, text in sorted(problems, key=lambda p: p[0])))
    return placed


def _where(one: Loaded) -> str:
    return f"{one.source}:{one.document.line}"


def _refusals(
    client: ApiClient, placed: list[tuple[Loaded, str, JsonObject]]
) -> Iterator[tuple[Loaded, str]]:
    """Try every object without storing it; yield what is wrong with which, and tell warnings."""
    made = _made_namespaces(placed)
    for one, path, obj in placed:
        if obj["metadata"].get("namespace") in made:
            continue  # its namespace comes with it: the real call is its check
        try:
            answer = _send(client, path, obj, dry_run=True)
        except ApiProblem as problem:
            yield from ((one, text) for text in located(one, problem))
        else:
            _tell_warnings(one, answer.warnings, alone=len(placed) == 1)


def _tell_warnings(one: Loaded, warnings: Iterable[str], *, alone: bool) -> None:
    """Warn; of several objects, each sentence says which one it is about, and where it stands."""
    kind, name = one.obj.get("kind"), (one.obj.get("metadata") or {}).get("name", "")
    for text in warnings:
        line = one.document.line_of(text.partition(": ")[0])
        warn(text if alone else f'{one.source}:{line}: {kind} "{name}": {text}')


def located(one: Loaded, problem: ApiProblem) -> list[str]:
    """Return the refusal as lines that begin with `file:line` where the field's line is known."""
    kind, name = one.obj.get("kind"), (one.obj.get("metadata") or {}).get("name", "")

    def line(field: str, text: str) -> str:
        place = f"{one.source}:{one.document.line_of(field)}"
        return f'{place}: {kind} "{name}": {text}'

    causes = problem.status.get("details", {}).get("causes", [])
    if causes:
        return [line(c.get("field", ""), _cause(c)) for c in causes]
    unknown = _UNKNOWN.findall(problem.message)
    if unknown:
        return [line(field, text) for text, field in unknown]
    return [f"{_where(one)}: {problem.message}"]


def _cause(cause: dict[str, Any]) -> str:
    field, message = cause.get("field", ""), str(cause.get("message", ""))
    return message if not field or field in message else f"{field}: {message}"


def _place(client: ApiClient, one: Loaded, namespace: str) -> tuple[str, JsonObject]:
    obj, where = one.obj, _where(one)
    version, kind = obj.get("apiVersion"), obj.get("kind")
    if not (isinstance(version, str) and isinstance(kind, str) and version and kind):
        raise CliError(f"{where}: an object needs apiVersion and kind, both of them text")
    metadata = obj.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise CliError(f'{where}: {kind}: metadata is no object; write "name" and others below it')
    name, written = metadata.get("name"), metadata.get("namespace")
    if not name:
        raise CliError(f"{where}: {kind}: metadata.name is missing; give the object a name")
    for field, value in (("name", name), ("namespace", written or "")):
        if not isinstance(value, str):
            place = f"{one.source}:{one.document.line_of(f'metadata.{field}')}"
            raise CliError(f'{place}: {kind}: metadata.{field} is {value}; write it as "{value}"')
    resource = _resource(client, version, kind, where)
    if not resource["namespaced"]:
        return object_path(resource, "", name), obj
    if namespace and written and namespace != written:
        raise CliError(
            f'{where}: the namespace "{written}" of the object is not the "{namespace}" of -n; '
            "leave one of them out"
        )
    chosen = written or namespace or "default"
    return (
        object_path(resource, chosen, name),
        {**obj, "metadata": {**metadata, "namespace": chosen}},
    )


def _resource(client: ApiClient, version: str, kind: str, where: str) -> JsonObject:
    import difflib

    served = client.resources()
    for resource in served:
        if resource["groupVersion"] == version and resource["kind"] == kind:
            return resource
    names = {f"{r['kind']} ({r['groupVersion']})": r for r in served}
    same = [n for n, r in names.items() if r["kind"].lower() == kind.lower()]
    near = same or difflib.get_close_matches(f"{kind} ({version})", names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else "see `kubectl api-resources`"
    raise CliError(f'{where}: unknown kind "{kind}" of "{version}"; {hint}')


def _existing(client: ApiClient, path: str) -> JsonObject | None:
    try:
        return client.get(path)
    except ApiProblem as problem:
        if problem.reason == "NotFound":
            return None
        raise


def _send(client: ApiClient, path: str, obj: JsonObject, *, dry_run: bool) -> Any:
    query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
    if dry_run:
        query["dryRun"] = "All"
    return client.request(
        "PATCH",
        path,
        body=json.dumps(obj).encode(),
        query=query,
        content_type="application/apply-patch+yaml",
    )


def _verdict(before: JsonObject | None, after: JsonObject) -> str:
    if before is None:
        return "created"
    same = before["metadata"].get("resourceVersion") == after["metadata"].get("resourceVersion")
    return "unchanged" if same else "configured"


def _told(told: tuple[str, JsonObject], output: str, dry_run: bool) -> str:
    verdict, obj = told
    if output in {"yaml", "json"}:
        from sampan.cli.get import formatted

        return formatted(obj, output)
    group = obj["apiVersion"].partition("/")[0] if "/" in obj["apiVersion"] else ""
    name = f"{obj['kind'].lower()}{'.' + group if group else ''}/{obj['metadata']['name']}"
    if output == "name":
        return name
    return f"{name} {verdict}" + (" (server dry run)" if dry_run else "")

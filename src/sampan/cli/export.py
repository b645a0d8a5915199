"""`sampan export`: objects as YAML that means the same on another Sampan or cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import typer

from sampan.cli.client import ApiClient, ApiProblem, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.output import USAGE, CliError, note, say
from sampan.cli.targets import Target, find_named, find_resource, object_path


@dataclass(slots=True)
class Exported:
    """Objects to write, those that others name first, and what else has to be there."""

    objects: list[JsonObject] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)


def export(
    what: Annotated[list[str], typer.Argument(help="NAME (an InferenceService), or KIND/NAME")],
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    output: Annotated[str, typer.Option("--output", "-o", help="yaml or json")] = "yaml",
    alone: Annotated[bool, typer.Option("--alone", help="Without the objects it names")] = False,
) -> None:
    """Print objects as portable YAML: no server fields, no defaults, and what they refer to."""
    if output not in {"yaml", "json"}:
        raise CliError(f'-o "{output}": choose yaml or json', USAGE)
    client, exported = connect(), Exported()
    for target in find_named(client, what):
        for name in target.names:
            _take(client, target, name, namespace, exported, alone=alone)
    _write(exported, output)


def _take(
    client: ApiClient,
    target: Target,
    name: str,
    namespace: str,
    exported: Exported,
    *,
    alone: bool,
) -> None:
    """Add an object and, before it, the objects that it names."""
    from sampan.api.named_objects import named_objects

    kind = str(target.resource["kind"])
    if (kind, name) in exported.seen:
        return
    exported.seen.add((kind, name))
    obj = client.get(target.path(namespace, name))
    if kind == "Secret":
        raise CliError(f'secret "{name}": secrets are not exported; copy it by a way you trust')
    if not alone:
        for named in named_objects(obj):
            _follow(client, (named.kind, named.name), namespace, exported)
    exported.objects.append(_portable(client, obj))


def _follow(client: ApiClient, named: tuple[str, str], namespace: str, exported: Exported) -> None:
    """Add an object that another one names, or say what it is where it cannot go along."""
    kind, name = named
    if named in exported.seen:
        return
    if kind == "PersistentVolumeClaim":
        exported.seen.add(named)
        exported.needs.append(f'PersistentVolumeClaim "{name}", with the model in it')
        return
    target = Target(find_resource(client, kind.lower()), (name,))
    try:
        found = client.get(object_path(target.resource, namespace, name))
    except ApiProblem as problem:
        if problem.reason != "NotFound":
            raise
        exported.seen.add(named)
        exported.needs.append(f'{kind} "{name}", which is not here either')
        return
    reason = _left_behind(found)
    if reason:
        exported.seen.add(named)
        exported.needs.append(f'{kind} "{name}"{reason}')
    else:
        _take(client, target, name, namespace, exported, alone=False)


def _left_behind(obj: JsonObject) -> str:
    """Return why an object does not go along, after its name; "" where it does."""
    from sampan.app.bootstrap import is_shipped

    if obj["kind"] == "Secret":
        keys = ", ".join(f'"{key}"' for key in sorted(obj.get("data") or {}))
        return f", with values for {keys or 'no key'}; values are not exported"
    return ", one of those that Sampan ships" if is_shipped(obj) else ""


def _portable(client: ApiClient, obj: JsonObject) -> JsonObject:
    from sampan.app.offline_admission import judge
    from sampan.app.portable import make_portable

    data = _configuration(client)
    return make_portable(obj, lambda one: judge(one, data, strict=False).obj)


def _configuration(client: ApiClient) -> dict[str, str]:
    try:
        path = "/api/v1/namespaces/kserve/configmaps/inferenceservice-config"
        found: dict[str, str] = client.get(path).get("data") or {}
    except ApiProblem:
        return {}
    return found


def _write(exported: Exported, output: str) -> None:
    from sampan.cli.get import formatted

    if output == "json":
        for need in exported.needs:
            note(f"needs {need}")
        many = {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": exported.objects}
        single = len(exported.objects) == 1
        say(formatted(exported.objects[0] if single else many, output))
        return
    say("\n---\n".join(_texts(exported)))


def _texts(exported: Exported) -> Iterator[str]:
    from sampan.cli.get import formatted

    above = "".join(f"# needs {need}\n" for need in exported.needs)
    for number, obj in enumerate(exported.objects):
        yield (above if number == 0 else "") + formatted(obj, "yaml")

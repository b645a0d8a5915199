"""`sampan edit`: an object in an editor; what the server refuses comes back in the file."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sampan.cli.apply import located
from sampan.cli.client import Answer, ApiClient, ApiProblem, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.output import USAGE, USER, CliError, say, warn
from sampan.cli.targets import find_named, object_name

FIELD_MANAGER = "sampan-edit"
EDITORS = ("SAMPAN_EDITOR", "KUBE_EDITOR", "VISUAL", "EDITOR")
HEADER = """\
# Edit the object below. Lines that begin with a # are passed over; an empty file ends the edit.
# What the server refuses comes back here, with the reason above it.
#
"""


def edit(
    what: Annotated[list[str], typer.Argument(help="NAME (an InferenceService), or KIND/NAME")],
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
) -> None:
    """Change an object in $EDITOR; a mistake is shown in the file, to be mended there."""
    client = connect()
    targets = [(t, name) for t in find_named(client, what) for name in t.names]
    if len(targets) > 1:
        raise CliError("edit one object at a time", USAGE)
    ((target, name),) = targets
    path = target.path(namespace, name)
    obj = client.get(path)
    changed = _edited(client, path, obj)
    say(f"{object_name(obj)} edited" if changed else "Edit cancelled, no changes made.")


def _edited(client: ApiClient, path: str, obj: JsonObject) -> bool:
    """Let the object be edited until the server takes it; False where nothing was changed."""
    from sampan.cli.get import formatted

    body, reasons = formatted(_shown(obj), "yaml") + "\n", list[str]()
    handle, name = tempfile.mkstemp(
        prefix=f"sampan-edit-{obj['metadata']['name']}-", suffix=".yaml"
    )
    os.close(handle)  # made with mode 0600: it may be a Secret
    file, original = Path(name), body
    while True:
        text = HEADER + "".join(f"# {line}\n" for line in reasons) + body
        file.write_text(text, encoding="utf-8")
        _open_editor(file)
        after = _without_comments(_read(file))
        if not after.strip() or after == original or (reasons and after == body):
            if reasons:
                raise CliError(f"no valid changes were saved; your edit is kept in {file}")
            file.unlink()
            return False
        try:
            body, reasons = after, _refusal(client, path, obj, after)
        except CliError as error:  # no server any more, or one that failed
            raise CliError(f"{error.message}; your edit is kept in {file}", error.code) from None
        if not reasons:
            file.unlink()
            return True


def _shown(obj: JsonObject) -> JsonObject:
    """Return what the editor shows: not what the server keeps for itself."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**{k: v for k, v in obj.items() if k != "status"}, "metadata": metadata}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f'your edit in "{file}" cannot be read: {error}; save it as UTF-8') from None


def _without_comments(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))


def _open_editor(file: Path) -> None:
    editor = next((os.environ[name] for name in EDITORS if os.environ.get(name)), "vi")
    try:
        done = subprocess.run([*shlex.split(editor), str(file)], check=False)
    except (OSError, ValueError) as error:
        file.unlink()
        raise CliError(
            f'the editor "{editor}" cannot be started ({error}); set EDITOR to one that is here',
            USAGE,
        ) from None
    if done.returncode:
        raise CliError(
            f'the editor "{editor}" ended with {done.returncode}; your edit is kept in {file}'
        )


def _refusal(client: ApiClient, path: str, before: JsonObject, text: str) -> list[str]:
    """Store what was edited; return why not, in lines for the head of the file."""
    from sampan.api.yamlfile import YamlError, parse_documents
    from sampan.cli.files import Loaded

    try:
        documents = parse_documents(text, "your edit")
    except YamlError as error:
        return [str(problem.message) for problem in error.problems]
    if len(documents) != 1:
        return [f"the file has {len(documents)} objects; leave one"]
    obj = documents[0].obj
    mistakes = _moved(before, obj)
    if mistakes:
        return mistakes
    try:
        answer = _send(client, path, before, obj)
    except ApiProblem as problem:
        if problem.code != USER:
            raise
        lines = located(Loaded("", documents[0], obj), problem)
        return [line.partition(": ")[2] or line for line in lines]
    if not isinstance(answer, Answer):
        return answer
    for warning in answer.warnings:
        warn(warning)
    return []


def _send(
    client: ApiClient, path: str, before: JsonObject, after: JsonObject
) -> Answer | list[str]:
    """Store what was edited and no more; return what clashes with what is stored by now.

    The version that was looked at goes along, so that nothing comes between; a write that does
    (a status, mostly) has the next version looked at.
    """
    from sampan.cli.edit_clashes import find_clashes
    from sampan.machinery.patch import make_merge_patch

    patch = make_merge_patch(_shown(before), after)
    latest = before
    while True:
        if clashes := find_clashes(patch, before, latest):
            return clashes
        version = {"resourceVersion": latest["metadata"]["resourceVersion"]}
        sent = {**patch, "metadata": {**patch.get("metadata", {}), **version}}
        try:
            return client.request(
                "PATCH",
                path,
                body=json.dumps(sent).encode(),
                query={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
                content_type="application/merge-patch+json",
            )
        except ApiProblem as problem:
            if problem.reason != "Conflict":
                raise
            before_it, latest = latest, client.get(path)
            if before_it["metadata"]["resourceVersion"] == latest["metadata"]["resourceVersion"]:
                raise  # nobody wrote: it is the edit itself, of a uid for example


def _moved(before: JsonObject, after: JsonObject) -> list[str]:
    """Return what names another object than the one that is edited."""
    fields = [("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")]
    found = []
    for field in fields:
        old, new = _at(before, field), _at(after, field)
        if old != new:
            found.append(
                f'{".".join(field)} was "{old}" and is "{new}"; an edit keeps it: to make another '
                "object, use `sampan apply`"
            )
    return found


def _at(obj: JsonObject, field: tuple[str, ...]) -> object:
    value: object = obj
    for name in field:
        value = value.get(name) if isinstance(value, dict) else None
    return value

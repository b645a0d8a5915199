"""`sampan render -f`: the Kubernetes objects of a service, without a cluster or a daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from sampan.cli.apply import Files
from sampan.cli.files import Loaded, load_objects
from sampan.cli.output import USAGE, CliError, note, say, warn

MODES = ("Standard", "Knative", "ModelMesh")


def render(
    filename: Files,
    mode: Annotated[
        str, typer.Option(help="Standard, Knative or ModelMesh, whatever the files say")
    ] = "",
    output: Annotated[str, typer.Option("--output", "-o", help="yaml or json")] = "yaml",
) -> None:
    """Print the Kubernetes objects that stand for the services and graphs of files."""
    if mode not in ("", *MODES):
        raise CliError(f'--mode "{mode}": choose {", ".join(MODES[:-1])} or {MODES[-1]}', USAGE)
    if output not in {"yaml", "json"}:
        raise CliError(f'-o "{output}": choose yaml or json', USAGE)
    loaded = load_objects(filename, words=False)  # in a cluster they are the image's
    from sampan.app.offline import as_list, render_offline
    from sampan.cli.get import formatted

    outcome = render_offline([one.obj for one in loaded], mode)
    for told in outcome.notes:
        warn(_located(loaded[told.number], told.path, told.text))
    if outcome.mistakes:
        lines = [_located(loaded[m.number], m.path, m.text) for m in outcome.mistakes]
        raise CliError("\n".join(dict.fromkeys(lines)))
    if output == "json":
        say(formatted(as_list(outcome.objects), output))
    elif outcome.objects:
        say("\n---\n".join(formatted(obj, output) for obj in outcome.objects))
    elif not outcome.notes:
        note(
            f"nothing to render: no other object stands for {_kinds(loaded)}; name files with an "
            "InferenceService or an InferenceGraph"
        )


def _kinds(loaded: list[Loaded]) -> str:
    return ", ".join(dict.fromkeys(str(one.obj.get("kind")) for one in loaded))


def _located(one: Loaded, path: str, text: str) -> str:
    line = one.document.line_of(path) if path else one.document.line
    metadata = one.obj.get("metadata")
    kind, name = one.obj.get("kind"), metadata.get("name", "") if isinstance(metadata, dict) else ""
    return f'{one.source}:{line}: {kind} "{name}": {text}'

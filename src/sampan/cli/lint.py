"""`sampan lint`: what is wrong with files, and what of them has no effect, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sampan.cli.files import paths_of, read_file, resolve_relative
from sampan.cli.output import USAGE, USER, CliError, note, say

if TYPE_CHECKING:
    from sampan.app.findings import Finding, Report
    from sampan.app.lint import Text

FORMS = ("text", "json", "sarif")
PLATFORMS = ("local", "kubernetes")


def lint(
    files: Annotated[
        list[str] | None, typer.Argument(help="Files, folders or - for standard input")
    ] = None,
    filename: Annotated[
        list[str] | None, typer.Option("--filename", "-f", help="The same, as with `apply`")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="text, json or sarif")] = "text",
    platform: Annotated[
        str, typer.Option(help="Where it is meant to run: local or kubernetes")
    ] = "local",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings too")] = False,
) -> None:
    """Say what is wrong with files, all at once, without a server. Exits with 1 on mistakes."""
    if output not in FORMS:
        raise CliError(f'-o "{output}": choose text, json or sarif', USAGE)
    if platform not in PLATFORMS:
        raise CliError(f'--platform "{platform}": choose {" or ".join(PLATFORMS)}', USAGE)
    names = [*(files or ()), *(filename or ())]
    if not names:
        raise CliError("lint what? Name files, folders or - for standard input", USAGE)
    report = _looked_at(names, platform)
    from sampan.app.findings import Severity
    from sampan.cli.lint_forms import as_json, as_sarif, as_text, summary

    if output == "text":
        for line in as_text(report):
            say(line)
        note(summary(report))
    else:
        say((as_json if output == "json" else as_sarif)(report))
    if report.count(Severity.ERROR) or (strict and report.findings):
        raise SystemExit(USER)


def _looked_at(files: list[str], platform: str) -> Report:
    from dataclasses import replace

    from sampan.app.bootstrap import shipped_runtimes
    from sampan.app.lint import lint as look_at
    from sampan.app.lint_effects import KubernetesEffects, LocalEffects
    from sampan.app.paths import find_paths
    from sampan.platforms.local.image_table import read_image_table

    texts, unreadable = _texts(files)
    if platform == "local":
        effects = LocalEffects(read_image_table(find_paths().images_file))
        report = look_at(texts, effects, shipped_runtimes())
    else:
        report = look_at(texts, KubernetesEffects())
    return replace(
        report,
        findings=(*unreadable, *report.findings),
        texts=report.texts + len(unreadable),
    )


def _texts(files: list[str]) -> tuple[list[Text], list[Finding]]:
    """Return the texts of files, and a finding for each that cannot be read."""
    from functools import partial

    from sampan.app.findings import Finding, Place, Severity
    from sampan.app.lint import Text

    texts, unreadable = dict[str, Text](), list[Finding]()
    for path in (path for name in files for path in paths_of(name)):
        try:
            source, text = read_file(path)
        except CliError as error:
            place = Place(str(path))
            unreadable.append(Finding(place, Severity.ERROR, "Unreadable", error.message))
            continue
        folder = Path.cwd() if path is None else path.parent
        texts.setdefault(source, Text(source, text, partial(resolve_relative, folder=folder)))
    return list(texts.values()), unreadable

"""`sampan install`: what a cluster needs, printed for kubectl or written as a package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sampan.cli.output import USAGE, CliError, note, say

if TYPE_CHECKING:
    from sampan.installation.options import Options

FORMATS = ("yaml", "kustomize", "helm", "prometheus", "grafana")
IMAGE = "sampan/operator:latest"


def install(
    namespace: Annotated[str, typer.Option(help="the operator's own namespace")] = "kserve",
    image: Annotated[str, typer.Option(help="the image that the operator runs")] = IMAGE,
    replicas: Annotated[int, typer.Option(help="operators that stand by; one acts")] = 2,
    *,
    namespaced: Annotated[
        list[str] | None,
        typer.Option(help="look after this namespace alone, with no right beyond it; repeated"),
    ] = None,
    activators: Annotated[
        int,
        typer.Option(help="what wakes services that scale to zero without Knative; 0: nothing"),
    ] = 0,
    metrics_from: Annotated[
        list[str] | None,
        typer.Option(
            help="with --activators: only pods of this namespace and of their own may ask their "
            "port of health and numbers; repeated"
        ),
    ] = None,
    operator_only: Annotated[
        bool,
        typer.Option(help="without what KServe has brought: definitions, configuration, runtimes"),
    ] = False,
    form: Annotated[
        str, typer.Option("--format", help="yaml, kustomize, helm, prometheus or grafana")
    ] = "yaml",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="the folder for kustomize or helm")
    ] = None,
    handover: Annotated[
        str,
        typer.Option(
            help="kserve: give a cluster back to KServe's controller; nobody: take the operator out"
        ),
    ] = "",
    context: Annotated[str, typer.Option(help="with --handover: of the kubeconfig")] = "",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="with --handover: instead of $KUBECONFIG")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="with --handover: tell the steps, take none")
    ] = False,
) -> None:
    """Print what a cluster needs: `sampan install | kubectl apply --server-side -f -`."""
    from dataclasses import replace

    from sampan.installation.options import Options

    if handover:
        from sampan.cli.handover import hand_over

        hand_over(handover, namespace, kubeconfig, context, dry_run=dry_run)
        return
    if context or kubeconfig or dry_run:
        raise CliError("--context, --kubeconfig and --dry-run go with --handover", USAGE)
    if form not in FORMATS:
        raise CliError(f'--format "{form}": choose {", ".join(FORMATS)}', USAGE)
    watched = tuple(dict.fromkeys(namespaced or ()))
    _check_numbers(replicas, activators, watched)
    if watched and namespace == Options().namespace:
        namespace = watched[0]
    if watched and form == "helm":
        raise CliError("--format helm is for the whole cluster; write yaml or kustomize", USAGE)
    numbers_for = tuple(dict.fromkeys(metrics_from or ()))
    if numbers_for and not activators:
        raise CliError("--metrics-from is about activators; give --activators 2 beside it", USAGE)
    given = Options(namespace, image, replicas, watched=watched)
    options = replace(given, activators=activators, metrics_from=numbers_for)
    _emit(options, form, output, operator_only=operator_only)


def _emit(options: Options, form: str, output: Path | None, *, operator_only: bool) -> None:
    """Print it, or write it as files into a folder."""
    if form in {"yaml", "prometheus", "grafana"}:
        if output is not None:
            raise CliError('-o is for --format kustomize or helm; write "> FILE" instead', USAGE)
        say(_text(form, options, operator_only=operator_only).rstrip())
        return
    if operator_only:
        raise CliError(f"--operator-only goes with --format yaml, not {form}", USAGE)
    if output is None:
        raise CliError(f'--format {form} writes files; name a folder with "-o"', USAGE)
    _check_empty(output)
    _write(output, _package(form, options))


def _check_numbers(replicas: int, activators: int, watched: tuple[str, ...]) -> None:
    if replicas < 1:
        raise CliError(f"--replicas {replicas}: one has to act; give 1 or more", USAGE)
    if activators < 0:
        raise CliError(f"--activators {activators}: give 0 or more", USAGE)
    if activators and watched:
        text = "it needs rights in the whole cluster; leave --namespaced out"
        raise CliError(f"--activators {activators}: {text}", USAGE)


def _text(form: str, options: Options, *, operator_only: bool) -> str:
    from sampan.app.bootstrap import shipped_runtimes
    from sampan.installation.bundle import make_bundle, make_operator, render_yaml
    from sampan.installation.observability import make_board, make_monitoring

    if form == "grafana":
        return json.dumps(make_board(), indent=2)
    if form == "prometheus":
        return render_yaml(make_monitoring(options))
    return render_yaml(
        make_operator(options) if operator_only else make_bundle(options, shipped_runtimes())
    )


def _package(form: str, options: Options) -> Mapping[str, str]:
    from sampan import __version__
    from sampan.app.bootstrap import shipped_runtimes
    from sampan.installation.chart import make_chart
    from sampan.installation.kustomize import make_kustomize

    if form == "helm":
        return make_chart(options, shipped_runtimes(), __version__)
    return make_kustomize(options, shipped_runtimes())


def _check_empty(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise CliError(f'"{folder}" is not empty; name a new folder, or empty it')


def _write(folder: Path, files: Mapping[str, str]) -> None:
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            note(f"wrote {path}")
    except OSError as error:
        raise CliError(f'"{folder}" cannot be written ({error.strerror or error})') from None

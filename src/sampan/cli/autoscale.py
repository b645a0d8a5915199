"""`sampan autoscale simulate`: how many replicas a known load would get, and why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sampan.cli.output import USAGE, CliError, say

if TYPE_CHECKING:
    from sampan.autoscaler.settings import Settings
    from sampan.autoscaler.simulate import Moment
    from sampan.autoscaler.trace import Trace

ACTIONS = ("simulate",)
FORMS = ("", "csv", "json")


def autoscale(
    action: Annotated[str, typer.Argument(help="simulate")],
    trace: Annotated[Path, typer.Option(help="A CSV file: second,concurrency or second,requests")],
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="An annotation, as target=10 or window=30s; several times"),
    ] = None,
    container_concurrency: Annotated[
        int, typer.Option(min=0, help="containerConcurrency of the component; 0: no limit")
    ] = 0,
    start_seconds: Annotated[
        float, typer.Option(min=0, help="Seconds until a new replica serves")
    ] = 2.0,
    ready: Annotated[int, typer.Option(min=0, help="Replicas that serve at the start")] = 0,
    png: Annotated[Path | None, typer.Option(help="Write a picture (needs matplotlib)")] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="csv or json")] = "",
) -> None:
    """Say how the number of replicas would follow a load: the autoscaler itself, without a service.

    Annotations are those of autoscaling.knative.dev, in their short form.
    """
    if action not in ACTIONS:
        raise CliError(f'"{action}" is nothing to do here; write "simulate"', USAGE)
    if output not in FORMS:
        raise CliError(f'output "{output}" is not known; write csv or json', USAGE)
    from sampan.autoscaler.reason import UNITS
    from sampan.autoscaler.simulate import World, simulate

    load = read_trace(trace)
    settings = read_annotations(setting or [], container_concurrency, load.metric)
    moments = list(simulate(settings, load, World(start_seconds, ready)))
    unit = UNITS[settings.metric]
    if png is not None:
        from sampan.cli.autoscale_picture import write_picture

        write_picture(png, moments, unit, f"{settings.target:g} {unit} a replica")
    say(_render(moments, output, unit))


def read_trace(path: Path) -> Trace:
    """Return the load that a file holds; raise CliError."""
    from sampan.autoscaler.trace import TraceError, parse_trace

    try:
        return parse_trace(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f'"{path}" cannot be read: {error}') from None
    except TraceError as error:
        raise CliError(f'"{path}": {error}') from None


def read_annotations(texts: Sequence[str], concurrency: int, metric: str) -> Settings:
    """Return the settings that annotations give, for the metric of a trace; raise CliError."""
    from sampan.autoscaler.annotations import DOMAIN, READERS, find_annotations, read_settings
    from sampan.autoscaler.settings import Defaults
    from sampan.machinery.suggest import did_you_mean

    given: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        short = next(iter(find_annotations({DOMAIN + key.removeprefix(DOMAIN): ""})), "")
        if not equals:
            raise CliError(f'--set "{text}" has no value; write it as "target=10"', USAGE)
        if short not in READERS:
            near = did_you_mean(short, sorted(READERS))
            raise CliError(f'"{key}" is no annotation of the autoscaler{near}', USAGE)
        given[DOMAIN + short] = value
    settings, problems = read_settings(
        {**given, f"{DOMAIN}metric": metric}, concurrency, Defaults()
    )
    if problems:
        raise CliError("\n".join(problems))
    return settings


def _render(moments: Sequence[Moment], output: str, unit: str) -> str:
    from sampan.cli.autoscale_chart import render_chart

    if output == "json":
        return json.dumps([asdict(m) for m in moments], indent=2)
    if output == "csv":
        rows = (f"{m.second},{m.load:g},{m.wanted},{m.ready}" for m in moments)
        return "\n".join(["second,load,wanted,ready", *rows])
    chart = render_chart(moments, unit, shutil.get_terminal_size().columns)
    return "\n".join([chart, "", *_changes(moments)])


def _changes(moments: Sequence[Moment]) -> Iterator[str]:
    """Yield each change of the wanted number with its numbers."""
    before = -1
    for moment in moments:
        if moment.wanted != before and moment.reason:
            yield f"{moment.second + 1:>6} s  {moment.reason}"
            before = moment.wanted

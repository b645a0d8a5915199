"""`runtimes.md`: the runtimes that Sampan ships, from their declarations."""

from __future__ import annotations

from argparse import ArgumentParser

from sampan.runtimes import RUNTIMES, get_runtime
from sampan.runtimes.declaration import ModelFormat, Runtime
from sampan.runtimes.explainers import EXPLAINERS, get_explainer
from tools.reference.markdown import code, page, section, table

_INTRODUCTION = """
Each that stands for an image is installed as a `ClusterServingRuntime`;
`sampan get clusterservingruntimes` lists them. A model that names no runtime gets one that supports
its format and may be selected for it, the highest priority first. An image of the table below,
whatever its registry and tag, runs as a local process; any other needs an entry in
[images.yaml](../how-to/run-your-own-image.md) or a `command`.
"""


def render() -> str:
    """Return the page."""
    runtimes = (_section(name) for name in RUNTIMES)
    explainers = (_explainer(name) for name in EXPLAINERS)
    return page("Runtimes", _INTRODUCTION, *runtimes, *explainers)


def _explainer(name: str) -> str:
    explainer = get_explainer(name)
    parser = ArgumentParser(add_help=False)
    explainer.add_arguments(parser)
    options = [str(action.option_strings[0]) for action in parser._actions]  # noqa: SLF001  # the only list
    rows = [
        ("images it stands for", _codes(explainer.images)),
        ("arguments of its own", _codes(tuple(options))),
        ("packages of its environment", _codes(explainer.requirements)),
    ]
    return section(f"Explainer {name}", table(("", ""), rows))


def _section(name: str) -> str:
    runtime = get_runtime(name)
    rows = [
        ("name", code(runtime.name)),
        ("`--runtime` of `sampan serve`", code(name)),
        ("model formats", "; ".join(_format(f) for f in runtime.formats)),
        ("protocols", _codes(runtime.protocol_versions)),
        ("images it stands for", _codes(runtime.images) or "none: `sampan serve` only"),
        ("files it loads", _codes(runtime.extensions)),
        ("`runtimeVersion` pins", code(runtime.package)),
        ("packages of its environment", _codes(runtime.requirements)),
        ("several models in one server", _multi_model(runtime)),
    ]
    return section(name, table(("", ""), rows))


def _format(form: ModelFormat) -> str:
    version = f" version {code(form.version)}" if form.version else ""
    chosen = f", selected by itself with priority {form.priority}" if form.auto_select else ""
    return code(form.name) + version + chosen


def _multi_model(runtime: Runtime) -> str:
    return "a folder of folders: each is a model" if runtime.multi_model else "no"


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(code(name) for name in names)

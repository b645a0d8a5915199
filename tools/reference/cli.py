"""`cli.md`: every verb with its arguments and options, read from the command line itself."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from tools.reference.markdown import code, page, section, table

_INTRODUCTION = """
Exit codes: 0 done, 1 your object or request is wrong, 2 usage, 3 the system failed, 130 Ctrl-C.

Colours and tables are for terminals: a pipe gets plain text, and so does `NO_COLOR=1`.
Every verb has `-h`.
"""
_SERVE = """
The model server's own arguments, with KServe's names. An argument that is not known, or known and
not honoured, is named in a warning when the server starts.
"""

_ROUTE = """
The router of one InferenceGraph, with upstream's argument and its variable `PROPAGATE_HEADERS`:
regular expressions, comma-separated, of the headers that go on to every step.
"""

_OPERATOR = """
The operator of a cluster. In a pod, which `sampan install` describes, it needs no kubeconfig.
"""


_ACTIVATOR = """
What wakes services of a cluster that scale to zero without Knative. In a pod, which `sampan install
--activators 2` describes, it needs no kubeconfig.
"""

_ACTIVATOR_ENVOY = """
The Envoy of an activator as a container of its own, so that what it holds outlives the activator.
"""

_STORAGE_INITIALIZER = """
The init container that fetches models, with upstream's arguments and variables: pairs of a URI and
a folder. Exit code 0, or 1 with the reason as the last line: the pod's termination message.
"""

_AGENT = """
The sidecar of a pod, with upstream's arguments. The readiness probe of the component is in its
variable `SERVING_READINESS_PROBE`.
"""


def render() -> str:
    """Return the page."""
    from sampan.cli.main import PASS_THROUGH, VERBS

    programs = {
        "serve": _serve_section,
        "route": _route_section,
        "operator": _operator_section,
        "activator": _activator_section,
        "activator-envoy": _activator_envoy_section,
        "storage-initializer": _storage_initializer_section,
        "agent": _agent_section,
    }
    sections = [
        programs[verb](verb) if verb in PASS_THROUGH else _verb_section(verb, target)
        for verb, target in VERBS.items()
    ]
    return page("The command line", _INTRODUCTION, *sections)


def _verb_section(verb: str, target: str) -> str:
    command = _command(verb, target)
    arguments = [_usage_of(p) for p in command.params if p.param_type_name == "argument"]
    rows = [_row(p) for p in command.params if not getattr(p, "hidden", False)]
    usage = " ".join(["sampan", verb, *arguments, "[OPTIONS]" if rows else ""]).strip()
    text = " ".join((command.help or "").split())
    return section(
        f"sampan {verb}",
        text,
        code(usage),
        table(("", "default", "meaning"), rows) if rows else "",
    )


def _command(verb: str, target: str) -> Any:
    import typer

    module, _, name = target.partition(":")
    app = typer.Typer(add_completion=False)
    app.command(verb)(getattr(import_module(module), name))
    return typer.main.get_command(app)


def _usage_of(parameter: Any) -> str:
    name = str(parameter.name).upper()
    many = "..." if parameter.nargs == -1 else ""
    return f"{name}{many}" if parameter.required else f"[{name}{many}]"


def _row(parameter: Any) -> tuple[str, str, str]:
    meaning = getattr(parameter, "help", None) or ""
    if parameter.param_type_name == "argument":
        return (code(_usage_of(parameter)), "", meaning)
    names = ", ".join(code(n) for n in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    shown = "" if default in (None, "", (), False) or parameter.required else str(default)
    if default is True:
        shown = parameter.opts[0]
    required = "required" if parameter.required else code(shown)
    return (names, required, meaning)


def _serve_section(verb: str) -> str:
    from sampan.app.serve_arguments import _make_parser

    parser = _make_parser()
    rows = [_argument_row(a) for a in parser._actions if a.dest != "help"]  # noqa: SLF001  # no other list
    return section(
        f"sampan {verb}", _SERVE, table(("argument", "default", "meaning"), rows), _not_honoured()
    )


def _route_section(verb: str) -> str:
    from sampan.app.route_arguments import make_parser

    rows = [_argument_row(a) for a in make_parser()._actions if a.dest != "help"]  # noqa: SLF001  # no other list
    return section(f"sampan {verb}", _ROUTE, table(("argument", "default", "meaning"), rows))


def _operator_section(verb: str) -> str:
    from sampan.app.operator_arguments import make_parser

    rows = [_argument_row(a) for a in make_parser()._actions if a.dest != "help"]  # noqa: SLF001  # no other list
    return section(f"sampan {verb}", _OPERATOR, table(("argument", "default", "meaning"), rows))


def _activator_section(verb: str) -> str:
    from sampan.app.activator_arguments import make_parser

    rows = [_argument_row(a) for a in make_parser()._actions if a.dest != "help"]  # noqa: SLF001  # no other list
    return section(f"sampan {verb}", _ACTIVATOR, table(("argument", "default", "meaning"), rows))


def _activator_envoy_section(verb: str) -> str:
    from sampan.app.activator_envoy import make_parser

    rows = [_argument_row(a) for a in make_parser()._actions if a.dest != "help"]  # noqa: SLF001  # no other list
    header = ("argument", "default", "meaning")
    return section(f"sampan {verb}", _ACTIVATOR_ENVOY, table(header, rows))


def _storage_initializer_section(verb: str) -> str:
    from sampan.app.storage_initializer import USAGE

    return section(f"sampan {verb}", _STORAGE_INITIALIZER, code(USAGE.removeprefix("usage: ")))


def _agent_section(verb: str) -> str:
    from sampan.app.agent_arguments import make_parser

    rows = [_argument_row(a) for a in make_parser()._actions if a.dest != "help"]  # noqa: SLF001  # no other list
    return section(f"sampan {verb}", _AGENT, table(("argument", "default", "meaning"), rows))


def _argument_row(action: argparse.Action) -> tuple[str, str, str]:
    names = ", ".join(code(n) for n in action.option_strings)
    default = action.default or ""
    shown = (
        "required"
        if action.required
        else code("" if default in (None, False, ()) else str(default))
    )
    choices = f"one of {', '.join(map(str, action.choices))}" if action.choices else ""
    return (
        names,
        shown,
        "; ".join(filter(None, ((action.help or "").replace("%%", "%"), choices))),
    )


def _not_honoured() -> str:
    from sampan.app.serve_arguments import _NOT_HONOURED

    return "KServe's arguments that are not honoured:\n\n" + table(
        ("argument", "why"), [(code(name), why) for name, why in _NOT_HONOURED.items()]
    )

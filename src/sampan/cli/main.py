"""The `sampan` command: a table of verbs, each in a file of its own, imported when it is called."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence

PANELS: dict[str, dict[str, str]] = {
    "Serve": {
        "run": "sampan.cli.run:run",
        "up": "sampan.cli.up:up",
        "down": "sampan.cli.down:down",
        "apply": "sampan.cli.apply:apply",
        "serve": "sampan.cli.serve:serve",
        "stop": "sampan.cli.stop:stop",
        "start": "sampan.cli.stop:start",
        "delete": "sampan.cli.delete:delete",
    },
    "Ask": {
        "predict": "sampan.cli.predict:predict",
        "explain": "sampan.cli.explain:explain",
    },
    "See": {
        "get": "sampan.cli.get:get",
        "why": "sampan.cli.why:why",
        "describe": "sampan.cli.describe:describe",
        "events": "sampan.cli.events:events",
        "logs": "sampan.cli.logs:logs",
        "top": "sampan.cli.top:top",
    },
    "Roll out and scale": {
        "rollout": "sampan.cli.rollout:rollout",
        "autoscale": "sampan.cli.autoscale:autoscale",
        "graph": "sampan.cli.graph:graph",
    },
    "Work with files": {
        "lint": "sampan.cli.lint:lint",
        "diff": "sampan.cli.diff:diff",
        "render": "sampan.cli.render:render",
        "edit": "sampan.cli.edit:edit",
        "export": "sampan.cli.export:export",
    },
    "Kubernetes": {
        "install": "sampan.cli.install:install",
        "migrate": "sampan.cli.migrate:migrate",
    },
    "This machine": {
        "pull": "sampan.cli.pull:pull",
        "cache": "sampan.cli.cache:cache",
        "doctor": "sampan.cli.doctor:doctor",
        "version": "sampan.cli.version:version",
        "completion": "sampan.cli.completion:completion",
    },
    "What pods run": {
        "route": "sampan.cli.route:route",
        "storage-initializer": "sampan.cli.storage_initializer:storage_initializer",
        "agent": "sampan.cli.agent:agent",
        "operator": "sampan.cli.operator:operator",
        "activator": "sampan.cli.activator:activator",
        "activator-envoy": "sampan.cli.activator:activator_envoy",
    },
}
"""Verb to `module:function`, by what it is for, in the order of `sampan --help`."""

VERBS = {verb: target for verbs in PANELS.values() for verb, target in verbs.items()}

COMPLETE = "_SAMPAN_COMPLETE"
"""Set by the shell while it completes a word (`sampan completion`)."""

_SHORT_EQUALS = re.compile(r"^(-[A-Za-z])=")
"""`-o=yaml`, which kubectl takes for `-o yaml`."""

PASS_THROUGH = frozenset(
    ("serve", "route", "operator", "activator", "activator-envoy", "storage-initializer", "agent")
)
"""Verbs whose arguments are another program's: read as they are."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (object or request), 2 (usage) or 3 (system)."""
    try:
        _main(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # while a verb's libraries are imported
        raise SystemExit(130) from None


def _main(args: list[str]) -> None:
    if args in (["version"], ["--version"]):
        # Asked often by scripts: answers without loading the command line's libraries.
        from sampan import __version__
        from sampan.cli.output import guarded, say

        guarded(say)(f"sampan {__version__}")
        return
    if args[:1] and args[0] in PASS_THROUGH:
        _load(args[0])(args[1:])
        return
    _run(_without_context(args))


def _without_context(args: list[str]) -> list[str]:
    """Take `--context NAME` from before the verb; it goes to whatever asks for a server."""
    word, equals, name = args[0].partition("=") if args else ("", "", "")
    if word != "--context":
        return args
    if not equals:
        if len(args) < 2:
            return args  # the parser says what is missing
        name = args[1]
    os.environ["SAMPAN_CONTEXT"] = name
    return args[1 if equals else 2 :]


def _run(args: list[str]) -> None:
    import typer

    from sampan.cli.output import guarded

    named = [a for a in args[:1] if a in VERBS]
    app = typer.Typer(
        name="sampan",
        help="Serve models with KServe's API, on this machine or on Kubernetes.",
        no_args_is_help=True,
        add_completion=COMPLETE in os.environ,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_make_root())
    for panel, verbs in PANELS.items():
        for verb in verbs:
            if not named or verb in named:
                app.command(verb, rich_help_panel=panel)(guarded(_load(verb)))
    app([_SHORT_EQUALS.sub(r"\1", word) for word in args], prog_name="sampan")


def _make_root() -> Callable[[str], None]:
    import typer

    text = "Work on this cluster of the kubeconfig; without it, on this machine."

    def root(context: str = typer.Option("", metavar="NAME", help=text)) -> None:
        """Serve models with KServe's API, on this machine or on Kubernetes."""
        del context  # taken by `_without_context` already

    return root


def _load(verb: str):  # type: ignore[no-untyped-def]  # each verb has a signature of its own
    from importlib import import_module

    module, _, name = VERBS[verb].partition(":")
    return getattr(import_module(module), name)

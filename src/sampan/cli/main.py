"""The `sampan` command: a table of verbs, each in a file of its own, imported when it is called."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

VERBS: dict[str, str] = {
    "run": "sampan.cli.run:run",
    "up": "sampan.cli.up:up",
    "down": "sampan.cli.down:down",
    "apply": "sampan.cli.apply:apply",
    "get": "sampan.cli.get:get",
    "describe": "sampan.cli.describe:describe",
    "events": "sampan.cli.events:events",
    "top": "sampan.cli.top:top",
    "why": "sampan.cli.why:why",
    "predict": "sampan.cli.predict:predict",
    "explain": "sampan.cli.explain:explain",
    "logs": "sampan.cli.logs:logs",
    "stop": "sampan.cli.stop:stop",
    "start": "sampan.cli.stop:start",
    "rollout": "sampan.cli.rollout:rollout",
    "edit": "sampan.cli.edit:edit",
    "delete": "sampan.cli.delete:delete",
    "export": "sampan.cli.export:export",
    "lint": "sampan.cli.lint:lint",
    "diff": "sampan.cli.diff:diff",
    "render": "sampan.cli.render:render",
    "install": "sampan.cli.install:install",
    "migrate": "sampan.cli.migrate:migrate",
    "autoscale": "sampan.cli.autoscale:autoscale",
    "graph": "sampan.cli.graph:graph",
    "serve": "sampan.cli.serve:serve",
    "route": "sampan.cli.route:route",
    "storage-initializer": "sampan.cli.storage_initializer:storage_initializer",
    "agent": "sampan.cli.agent:agent",
    "operator": "sampan.cli.operator:operator",
    "doctor": "sampan.cli.doctor:doctor",
    "version": "sampan.cli.version:version",
    "completion": "sampan.cli.completion:completion",
}
"""Verb to `module:function`, in the order of `sampan --help`."""

COMPLETE = "_SAMPAN_COMPLETE"
"""Set by the shell while it completes a word (`sampan completion`)."""

_SHORT_EQUALS = re.compile(r"^(-[A-Za-z])=")
"""`-o=yaml`, which kubectl takes for `-o yaml`."""

PASS_THROUGH = {"serve", "route", "operator", "storage-initializer", "agent"}
"""Verbs whose arguments are another program's: read as they are."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (object or request), 2 (usage) or 3 (system)."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args in (["version"], ["--version"]):
        # Asked often by scripts: answers without loading the command line's libraries.
        from sampan import __version__

        sys.stdout.write(f"sampan {__version__}\n")
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
    app.callback()(_root)
    for verb in named or VERBS:
        app.command(verb)(guarded(_load(verb)))
    app([_SHORT_EQUALS.sub(r"\1", word) for word in args], prog_name="sampan")


def _root(context: str = "") -> None:
    """Serve models with KServe's API, on this machine or on Kubernetes.

    --context NAME, before the verb, works on a cluster of the kubeconfig.
    """
    del context  # taken by `_without_context` already


def _load(verb: str):  # type: ignore[no-untyped-def]  # each verb has a signature of its own
    from importlib import import_module

    module, _, name = VERBS[verb].partition(":")
    return getattr(import_module(module), name)

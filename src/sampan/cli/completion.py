"""`sampan completion`: a script that makes a shell complete verbs and options."""

from __future__ import annotations

from typing import Annotated

import typer

from sampan.cli.output import CliError, say

SHELLS = ("bash", "zsh", "fish")


def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish")]) -> None:
    """Print a completion script: `source <(sampan completion bash)`."""
    if shell not in SHELLS:
        raise CliError(f'shell "{shell}" is not known; choose {", ".join(SHELLS)}', 2)
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # re-export

    say(get_completion_script(prog_name="sampan", complete_var="_SAMPAN_COMPLETE", shell=shell))

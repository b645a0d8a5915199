"""Run a bench: `make bench B=NAME [ROW=TEXT]`, or `python -m bench.run NAME [--only TEXT]`.

Each bench is a module beside this one with `benches`, a table from row name to function. One
JSON object a row goes to standard output, progress to standard error. Exit code 0 when every row
was measured (whether its goal holds or not), 1 when one could not be, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from bench.progress import note
from bench.row import Row
from bench.setting import CannotMeasure, Setting

PARTS = {
    *("run", "row", "progress", "setting", "processes", "guard"),
    *("ask", "load", "wrk", "h2load"),
    *("iris", "peers", "servers", "sampan_home", "cold_frameworks"),
}

ALIASES = {"operator": "cluster_operator"}
"""A module of that name would hide Python's own from scripts that are started by their path."""


def main() -> int:
    """Run the bench named on the command line."""
    args = _arguments()
    module = ALIASES.get(args.name, args.name)
    if module not in _names():
        known = ", ".join(_names())
        note(f'no bench "{args.name}"; there is: {known}')
        return 2
    benches = importlib.import_module(f"bench.{module}").benches
    chosen = {name: measure for name, measure in benches.items() if args.only in name}
    if not chosen:
        note(f'no row of "{args.name}" is named with "{args.only}"; there is: {", ".join(benches)}')
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):  # as a Ctrl-C does: what was started is ended
        signal.signal(number, _leave)
    setting = Setting(rounds=args.rounds)
    failed = False
    for name, measure in chosen.items():
        note(f"{name} ...")
        began = time.monotonic()
        for row in _rows(name, measure, setting):
            failed = failed or bool(row.error)
            print(json.dumps(row.as_json()), flush=True)
        note(f"{name}: {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _leave(number: int, frame: object) -> None:
    del frame
    raise SystemExit(128 + number)


def _rows(name: str, measure, setting: Setting) -> Iterator[Row]:  # type: ignore[no-untyped-def]  # a bench's function
    """Yield what a bench measures; one that breaks does not keep the next from being run."""
    try:
        yield from measure(setting)
    except CannotMeasure as reason:
        yield Row(name=name, unit="", skipped=str(reason))
    except Exception as error:  # noqa: BLE001 (the next row is worth having whatever happened)
        traceback.print_exc()
        yield Row(name=name, unit="", error=f"{type(error).__name__}: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.partition("\n")[0])
    parser.add_argument("name", help=f"one of: {', '.join(_names())}")
    parser.add_argument("--only", default="", help="only rows whose name holds this text")
    parser.add_argument("--rounds", type=int, default=5, help="rounds a side (default 5)")
    return parser.parse_args()


def _names() -> list[str]:
    """Return the benches: the modules here that are no part of the harness."""
    stems = {path.stem for path in Path(__file__).parent.glob("*.py")}
    return sorted(s for s in stems - PARTS if not s.startswith("peer_"))


if __name__ == "__main__":
    sys.exit(main())

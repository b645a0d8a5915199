"""`sampan cache`: what the cache of models holds, who uses it, and what of it may go."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sampan.cli.output import USAGE, CliError, note, say, table

if TYPE_CHECKING:
    from sampan.storage.cache import Cache, Entry

ACTIONS = ("list", "prune", "remove", "path", "du")
HEADER = ("KEY", "SIZE", "FILES", "USED", "BY", "MODEL")
_KEY_LETTERS = 12
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def cache(
    action: Annotated[str, typer.Argument(help="list, prune, remove, path or du")],
    models: Annotated[
        list[str] | None, typer.Argument(help="remove, path: models by key or by URI")
    ] = None,
    older_than: Annotated[
        str, typer.Option(help="prune: only what was not used for so long, as 12h or 7d")
    ] = "",
    keep: Annotated[str, typer.Option(help="prune: bytes that may stay, as 20Gi")] = "0",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="prune: only tell")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="list: json")] = "",
) -> None:
    """Show what the cache of models holds and who uses it, and remove what nobody does."""
    if action not in ACTIONS:
        raise CliError(
            f'"{action}" is nothing to do here; write one of {", ".join(ACTIONS)}', USAGE
        )
    if output not in {"", "json"}:
        raise CliError(f'-o "{output}": write json, or leave it out', USAGE)
    if models and action not in {"remove", "path"}:
        raise CliError(f'"{models[0]}": cache {action} takes no model', USAGE)
    held = _open()
    if action == "list":
        show_entries(held, output)
    elif action == "prune":
        prune_entries(held, read_bytes(keep), read_age(older_than), dry_run=dry_run)
    elif action == "remove":
        remove_entries(held, models or [])
    elif action == "path":
        show_paths(held, models or [])
    else:
        show_sizes(held)


def _open() -> Cache:
    from sampan.app.paths import find_paths
    from sampan.platforms.local.layout import Layout
    from sampan.storage.cache import open_cache

    paths = find_paths()
    return open_cache(Layout(paths.state, paths.cache).models)


def show_entries(cache: Cache, output: str) -> None:
    """List models, the most recently used first."""
    from sampan.storage.pruning import list_entries
    from sampan.storage.space import show_bytes

    entries, users, now = list_entries(cache), _users(cache), time.time()
    if output:
        say(json.dumps([_as_json(entry, users) for entry in entries], indent=2))
        return
    if not entries:
        note("The cache holds no model.")
        return
    rows = [
        [
            entry.key[:_KEY_LETTERS],
            show_bytes(entry.facts.size),
            str(entry.facts.files),
            show_age(now - entry.used_at),
            ", ".join(users.get(entry.key, ())) or "-",
            entry.facts.shown,
        ]
        for entry in entries
    ]
    say(table(HEADER, rows))


def prune_entries(cache: Cache, keep: int, age: float, *, dry_run: bool) -> None:
    """Remove what no service uses, the longest unused first."""
    from sampan.storage.pruning import plan_prune, prune
    from sampan.storage.space import show_bytes

    users, now = _users(cache), time.time()
    if dry_run:
        chosen, weights = plan_prune(cache, now, users, keep, age)
        size, word = sum(weights[entry.key] for entry in chosen), "would come free"
    else:
        pruned = prune(cache, now, keep, age, users)
        chosen, size, word = list(pruned.entries), pruned.size, "came free"
    for entry in chosen:
        say(entry.facts.shown)
    note(f"{len(chosen)} models, {show_bytes(size)} {word}")


def remove_entries(cache: Cache, names: list[str]) -> None:
    """Remove models by name, except those that a service uses."""
    from sampan.storage.pruning import remove_entry
    from sampan.storage.space import show_bytes

    users = _users(cache)
    found = [entry for name in _required(names) for entry in select_entries(cache, name)]
    for entry in found:
        if entry.key in users:
            raise CliError(
                f'"{entry.facts.shown}" is used by {", ".join(users[entry.key])}; '
                "delete what uses it first"
            )
    for entry in {entry.key: entry for entry in found}.values():
        say(f"{entry.facts.shown} ({show_bytes(remove_entry(cache, entry))} came free)")


def show_paths(cache: Cache, names: list[str]) -> None:
    """Print the folders of models, or of the cache."""
    if not names:
        say(str(cache.root))
    for name in names:
        say(str(select_entries(cache, name)[0].path))


def show_sizes(cache: Cache) -> None:
    """Print what takes how much room; what models share counts once."""
    from sampan.storage.pruning import list_entries, measure_cache, weigh_entries
    from sampan.storage.space import show_bytes

    entries, users = list_entries(cache), _users(cache)
    weights = weigh_entries(entries, users)
    used = sum(weights[entry.key] for entry in entries if entry.key in users)
    unused = sum(weights[entry.key] for entry in entries if entry.key not in users)
    total = measure_cache(cache)
    rows = [
        ["used by services", str(sum(e.key in users for e in entries)), show_bytes(used)],
        ["used by nobody", str(sum(e.key not in users for e in entries)), show_bytes(unused)],
        ["unfinished or shared parts", "-", show_bytes(max(0, total - used - unused))],
        ["all", str(len(entries)), show_bytes(total)],
    ]
    say(table(("WHAT", "MODELS", "SIZE"), rows))


def select_entries(cache: Cache, name: str) -> list[Entry]:
    """Return the entries of a key's beginning or a URI, newest first; raise CliError for none."""
    from sampan.storage.pruning import list_entries

    entries = list_entries(cache)
    named = [e for e in entries if name in {e.facts.shown, e.facts.shown.rpartition("@")[0]}]
    if not named and re.fullmatch(r"[0-9a-f]{6,}", name):
        named = [entry for entry in entries if entry.key.startswith(name)]
    if not named:
        known = ", ".join(f'"{entry.facts.shown}"' for entry in entries[:5]) or "nothing"
        raise CliError(f'no model "{name}" is in the cache, which holds {known}; fetch it by pull')
    return named


def read_age(text: str) -> float:
    """Return seconds; without a wish, the hour in which a fetch's user may not be known yet."""
    from sampan.storage.pruning import IDLE_SECONDS

    if not text:
        return IDLE_SECONDS
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    if found is None:
        raise CliError(f'--older-than "{text}" is no time; write 30m, 12h, 7d or 2w', USAGE)
    return float(int(found[1]) * _SECONDS[found[2]])


def read_bytes(text: str) -> int:
    """Return a size in bytes."""
    from sampan.app.operator_settings import read_bytes as read

    try:
        return read(text)
    except ValueError as error:
        raise CliError(f'--keep "{text}" cannot be used; {error}', USAGE) from None


def show_age(seconds: float) -> str:
    """Return a time as kubectl writes it: `5m`, `3h`, `12d`."""
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit]:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{max(0, int(seconds))}s"


def _users(cache: Cache) -> dict[str, list[str]]:
    from sampan.app.paths import find_paths
    from sampan.platforms.local.model_users import gather_users

    return gather_users(cache.root, find_paths().state)


def _required(names: list[str]) -> list[str]:
    if not names:
        raise CliError("name models to remove, by key or URI: sampan cache list", USAGE)
    return names


def _as_json(entry: Entry, users: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "key": entry.key,
        "model": entry.facts.shown,
        "path": str(entry.path),
        "bytes": entry.facts.size,
        "files": entry.facts.files,
        "fetchedAt": entry.facts.fetched_at,
        "usedAt": entry.used_at,
        "usedBy": users.get(entry.key, []),
    }

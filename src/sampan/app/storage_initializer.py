"""The init container that fetches models into folders, as a process. Wiring only.

KServe, storage initializer: arguments are pairs of a URI and a folder; exit code 0, or 1 with the
reason as the last line of the log, which the kubelet takes for the termination message.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sampan.app.serve_observation import make_log_formatter
from sampan.storage.base import Progress, ReportProgress, StorageError
from sampan.storage.fetch import fetch, make_storage_error
from sampan.storage.patterns import Patterns
from sampan.storage.placing import place, prepare_folder
from sampan.storage.pod_environment import CLAIMS, make_patterns, make_pod_options
from sampan.storage.space import show_bytes
from sampan.storage.trust import extend_trust
from sampan.storage.uri import redact

logger = logging.getLogger("sampan.storage")

USAGE = "usage: sampan storage-initializer SRC_URI DEST_PATH [SRC_URI DEST_PATH ...]"
_PAIRS = "a URI, and the absolute path of the folder that its model is put into"
MODELS = "/mnt/models"
"""As a source: in multi-model mode the agent fetches, and there is nothing to do."""
TERMINATION_LOG = "SAMPAN_TERMINATION_LOG"
_CONFIDENTIAL = "CONFIDENTIAL_ENABLED"
_MESSAGE_BYTES = 4096
"""What the kubelet reads of a termination message."""


class Unusable(Exception):
    """Arguments or variables that no fetch can be made of; the message says what would mend it."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the pairs."""
    parser = argparse.ArgumentParser(
        prog="sampan storage-initializer",
        usage=USAGE.removeprefix("usage: "),
        description="Fetch models into folders, one after another, and end.",
        allow_abbrev=False,
    )
    parser.add_argument("pairs", nargs="*", metavar="SRC_URI DEST_PATH", help=_PAIRS)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Fetch every pair, one after another; return the exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(make_log_formatter("text"))
    logging.basicConfig(level="INFO", handlers=[handler])
    arguments = sys.argv[1:] if argv is None else argv
    try:
        pairs = make_pairs(make_parser().parse_args(arguments).pairs)
        patterns = read_environment()
        asyncio.run(_run(pairs, patterns))
    except (Unusable, StorageError) as error:
        logger.error("%s", error)  # noqa: TRY400  # the reason alone: it becomes the message
        _tell(str(error))
        return 1
    return 0


def make_pairs(arguments: Sequence[str]) -> list[tuple[str, Path]]:
    """Return sources and folders; raise Unusable. Pure."""
    if not arguments or len(arguments) % 2:
        raise Unusable(f"{len(arguments)} arguments are no pairs of a URI and a folder; {USAGE}")
    pairs = [
        (uri, Path(folder)) for uri, folder in zip(arguments[::2], arguments[1::2], strict=True)
    ]
    for uri, folder in pairs:
        if not folder.is_absolute():
            raise Unusable(f'"{folder}" is no absolute folder to put "{redact(uri)}" in; {USAGE}')
        if uri.startswith("pvc://"):
            raise Unusable(
                f'"{uri}" names a claim, which is mounted and not downloaded; mount it at {CLAIMS} '
                "and give the path there"
            )
    return pairs


def read_environment() -> Patterns:
    """Return which files are wanted, after the CA bundle is trusted; raise Unusable."""
    if os.environ.get(_CONFIDENTIAL) == "true":
        raise Unusable(
            f'{_CONFIDENTIAL} is "true": models are not decrypted here; '
            "take an image that does, or leave the model unencrypted"
        )
    warning = extend_trust(os.environ, Path(tempfile.gettempdir()) / "sampan-trust")
    if warning:
        logger.warning("%s", warning)
    try:
        return make_patterns(os.environ)
    except ValueError as error:
        raise Unusable(str(error)) from None


async def _run(pairs: list[tuple[str, Path]], patterns: Patterns) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        for uri, folder in pairs:
            await initialize(uri, folder, patterns)
    except asyncio.CancelledError:
        raise Unusable(
            "asked to stop before every model was here; the next start goes on"
        ) from None


async def initialize(uri: str, folder: Path, patterns: Patterns) -> None:
    """Have the model of a URI in a folder; raise StorageError, Unusable."""
    if uri.startswith(MODELS):
        logger.info('nothing to do for "%s": models are pulled as they are wanted', uri)
        return
    if uri.startswith(CLAIMS) and not await asyncio.to_thread(Path(uri).exists):
        raise StorageError(
            "ModelNotFound",
            f'cannot locate source uri "{uri}" for PVC; put the model into the claim, or correct '
            "the path behind the claim's name",
        )
    try:
        work = await asyncio.to_thread(prepare_folder, folder)
        options = make_pod_options(os.environ, work)
        fetched = await fetch(uri, options, _told(uri))
        left = Patterns() if fetched.chosen else patterns
        await asyncio.to_thread(place, fetched, folder, left)
    except OSError as error:
        raise make_storage_error(uri, error) from None
    except ValueError as error:
        raise Unusable(str(error)) from None
    size = show_bytes(fetched.size)
    logger.info('"%s" is in "%s" (%s, %.1f s)', redact(uri), folder, size, fetched.seconds)


def _told(uri: str) -> ReportProgress:
    seen: list[str] = []

    def tell(progress: Progress) -> None:
        if progress.phase not in seen:
            seen.append(progress.phase)
            logger.info('"%s": %s', redact(uri), progress.phase)

    return tell


def _tell(message: str) -> None:
    """Write the termination message, where the kubelet has made a file for it."""
    path = Path(os.environ.get(TERMINATION_LOG) or "/dev/termination-log")
    with suppress(OSError):
        if path.is_file():
            path.write_text(message.encode()[:_MESSAGE_BYTES].decode(errors="ignore"))


if __name__ == "__main__":
    raise SystemExit(main())

"""The handler of one archive: unpacked, loaded by the package `torchserve`, asked in batches.

A handler is code, the archive's own or one that unpickles weights, so archives are loaded only
where the operator trusts them.
"""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InferenceError
from sampan.runtimes.torchserve.answers import Answer, HandlerStatus, PartSocket, make_answer
from sampan.runtimes.torchserve.archive import Manifest, unpack
from sampan.runtimes.torchserve.batches import Batch
from sampan.runtimes.torchserve.turns import Turn, Turns
from sampan.runtimes.torchserve.vision import replace_operators
from sampan.server.load_failure import LoadFailure

ENVELOPES = {"v1": "kserve", "v2": "kservev2"}
_MEMORY = 507
"""TorchServe's status of a handler that has run out of memory."""


class Handler:
    """One version of a model. `turns` are the requests that wait for it, once it is loaded."""

    def __init__(self, name: str, archive: Path, manifest: Manifest, batch: Batch | None) -> None:
        self.name = name
        self.archive = archive
        self.manifest = manifest
        self.set_batch(manifest.batch or batch or Batch())
        self.ready = False
        self._folder: Path | None = None
        self._service: Any = None
        self._entries: dict[str, Any] = {}

    def set_batch(self, batch: Batch) -> None:
        """Say how requests are gathered, before any has come; each life has turns of its own."""
        self.batch = batch
        self.turns = Turns(self.run, batch)

    def load(self, *, trust: bool) -> None:
        """Unpack and load it; LoadFailure tells what is wrong."""
        if not trust:
            raise LoadFailure(
                "ModelUntrusted",
                f'model archive "{self.archive.name}" brings a handler, which is code that runs '
                "only where the model is trusted; if you trust where it comes from, set the "
                "annotation "
                'serving.sampan.dev/trust: "true" (or start the server with --trust)',
            )
        loader = _import_loader()
        self._folder = folder = unpack(self.archive)
        sys.path.insert(0, str(folder))
        before = set(sys.modules)
        try:
            self._service = self._load_service(loader, folder)
        except Exception as error:
            raise LoadFailure(
                "ModelLoadFailed",
                f'handler "{self.manifest.handler}" of "{self.archive.name}": '
                f"{type(error).__name__}: {error}; mend the handler, or add what it imports to the "
                "requirements",
            ) from error
        finally:
            sys.path.remove(str(folder))
            _forget(folder, before)
        entry = self._service._entry_point  # noqa: SLF001  # what its own `predict` calls
        self._entries = {"": entry}
        for protocol, envelope in ENVELOPES.items():
            made = loader._load_default_envelope(envelope)(entry)  # noqa: SLF001  # by its own name
            self._entries[protocol] = made.handle
        self.ready = True

    def _load_service(self, loader: Any, folder: Path) -> Any:
        words = (self.name, str(folder), self.manifest.handler, None, self.batch.size, None)
        try:
            return loader.load(*words)
        except RuntimeError as error:
            if not replace_operators(error):
                raise
        return loader.load(*words)

    def stop(self) -> None:
        """Let the handler go, and remove its files."""
        self.ready = False
        self.turns.stop()
        self.set_batch(self.batch)  # it may be loaded again; who asks before is told that it is not
        self._service, self._entries = None, {}
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, turns: Sequence[Turn]) -> list[Answer]:
        """Ask the handler, on the thread of its turns; HandlerStatus and InferenceError say why
        not.
        """
        service = self._service
        if service is None:
            raise HandlerStatus(503, f'model "{self.name}" was stopped; ask again')
        context, ids = service.context, _make_ids(turns)
        by_id = dict(zip(ids, turns, strict=True))
        context.cl_socket = PartSocket(lambda request_id, part: by_id[request_id].part(part))
        context.request_ids = dict(enumerate(ids))
        context.metrics.request_ids = context.request_ids
        context.request_processor = [_make_processor(turn) for turn in turns]
        rows = [turn.asked.row for turn in turns]
        values = self._call(self._entries[turns[0].asked.envelope], rows, context)
        return [make_answer(value, context, index) for index, value in enumerate(values)]

    def _call(self, entry: Any, rows: list[Any], context: Any) -> list[Any]:
        from ts.utils.util import PredictionException  # type: ignore[import-not-found]  # theirs

        try:
            answers = entry(rows, context)
        except PredictionException as error:
            raise HandlerStatus(_status(error), str(error.message)) from error
        except MemoryError as error:
            raise HandlerStatus(_MEMORY, "Out of resources") from error
        except Exception as error:
            if "CUDA" in str(error):
                raise HandlerStatus(_MEMORY, f"Out of resources: {error}") from error
            raise InferenceError(f"{type(error).__name__}: {error}") from error
        if not isinstance(answers, list) or len(answers) != len(rows):
            got = len(answers) if isinstance(answers, list) else type(answers).__name__
            asked = "1 request" if len(rows) == 1 else f"{len(rows)} requests"
            raise InferenceError(
                f'handler "{self.manifest.handler}" answers {asked} with {got}; return a list '
                "with an answer a request"
            )
        return answers


def _status(error: Any) -> int:
    """Return the status that a handler's exception names; 500 where it is no status."""
    code = getattr(error, "error_code", 500)
    return code if isinstance(code, int) and 400 <= code <= 599 else 500


def _make_ids(turns: Sequence[Turn]) -> list[str]:
    """Return an id a request: the caller's own, unless two have one."""
    ids = [turn.asked.headers.get("x-request-id") or str(uuid.uuid4()) for turn in turns]
    return ids if len(set(ids)) == len(ids) else [str(uuid.uuid4()) for _ in turns]


def _make_processor(turn: Turn) -> Any:
    from ts.context import RequestProcessor  # type: ignore[import-not-found]  # torchserve's

    return RequestProcessor(turn.asked.headers)


def _import_loader() -> Any:
    try:
        from ts.metrics.metric_cache_yaml_impl import (  # type: ignore[import-not-found]  # theirs
            MetricsCacheYamlImpl,
        )
        from ts.model_loader import TsModelLoader  # type: ignore[import-not-found]  # torchserve's
    except ImportError as error:
        raise LoadFailure(
            "RuntimeUnavailable",
            f"torchserve is not in the environment ({error}); install torch and torchserve, or "
            "give the image an entry in images.yaml whose requirements have them",
        ) from None
    import ts  # type: ignore[import-not-found]  # torchserve's

    file = Path(ts.__file__).parent / "configs" / "metrics.yaml"
    return _Loader(TsModelLoader(), MetricsCacheYamlImpl(config_file_path=str(file)))


class _Loader:
    """TorchServe's loader with its metrics."""

    def __init__(self, loader: Any, metrics: Any) -> None:
        self._loader = loader
        self._metrics = metrics
        metrics.initialize_cache()

    def load(self, *arguments: Any) -> Any:
        """Return the service of a handler."""
        return self._loader.load(*arguments, metrics_cache=self._metrics)

    def _load_default_envelope(self, name: str) -> Any:
        return self._loader._load_default_envelope(name)  # noqa: SLF001  # its own, by name


def _forget(folder: Path, before: set[str]) -> None:
    """Let the next archive have modules of the same names."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(folder):
            del sys.modules[name]

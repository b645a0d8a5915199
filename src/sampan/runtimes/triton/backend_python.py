"""Triton's backend "python": a `model.py` with a class `TritonPythonModel`.

It runs in the server's own process, an object an instance, each used by one request at a time. The
file is code: it is run only where the operator trusts the model.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType
from typing import Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.tensor_specs import Specs
from sampan.runtimes.triton import python_utils
from sampan.runtimes.triton.backends import Source
from sampan.runtimes.triton.decoupled import Responses, ResponseSender, Sent
from sampan.runtimes.triton.documents import with_defaults
from sampan.runtimes.triton.schema import ROOT
from sampan.runtimes.triton.sequences import Turn
from sampan.server.load_failure import LoadFailure

CLASS = "TritonPythonModel"
_ELSEWHERE = ("EXECUTION_ENV_PATH",)


class PythonBackend:
    """The instances of a version."""

    quick = False
    inputs: Specs | None = None
    outputs: Specs | None = None

    def __init__(self, source: Source) -> None:
        self._source = source
        name = source.config.name
        _validate(source)
        python_class = _load_class(source.path, name)
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._all: list[Any] = []
        self._turns = [threading.Lock() for _ in range(source.config.instances)]
        for number in range(source.config.instances):
            self._all.append(_make_instance(python_class, source, number))
            self._free.put(self._all[-1])

    def run(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Mapping[str, Any]:
        """Run `execute` of an instance that is free; InferenceError with what it says."""
        request = _make_request(given, outputs)
        instance = self._free.get()
        try:
            return self._execute(instance, request, outputs)
        finally:
            self._free.put(instance)

    def run_turn(
        self, given: Mapping[str, Any], outputs: Sequence[str], turn: Turn
    ) -> Mapping[str, Any]:
        """Run `execute` of the instance that a sequence has."""
        request = _make_request(given, outputs, turn.step.correlation_id, turn.step.flags)
        with self._turns[turn.instance]:
            return self._execute(self._all[turn.instance], request, outputs)

    def _execute(self, instance: Any, request: Any, outputs: Sequence[str]) -> Mapping[str, Any]:
        token = python_utils.current_infer.set(self._source.infer)
        try:
            responses = instance.execute([request])
        except (InvalidInput, InferenceError):
            raise
        except Exception as error:
            raise InferenceError(
                f"{_place(error, self._source.path)}{type(error).__name__}: {error}"
            ) from error
        finally:
            python_utils.current_infer.reset(token)
        return self._take(responses, outputs)

    def stream(self, given: Mapping[str, Any], outputs: Sequence[str]) -> Responses:
        """Run `execute` of a decoupled model on a thread of its own; return what it will send."""
        request = _make_request(given, outputs)
        responses = Responses()
        request._sender = ResponseSender(responses)  # noqa: SLF001  # of the same package
        threading.Thread(
            target=self._send, args=(request, responses), name="triton-decoupled", daemon=True
        ).start()
        return responses

    def _send(self, request: python_utils.InferenceRequest, responses: Responses) -> None:
        instance = self._free.get()
        python_utils.current_infer.set(self._source.infer)
        try:
            returned = instance.execute([request])
        except Exception as error:  # noqa: BLE001  # becomes the answer
            told = f"{_place(error, self._source.path)}{type(error).__name__}: {error}"
            responses.put(Sent(error=InferenceError(told)))
        else:
            if returned is not None:
                told = (
                    f'execute of "{self._source.path.name}" returns responses, and the model is '
                    "decoupled; send them by get_response_sender, and return None"
                )
                responses.put(Sent(error=InferenceError(told)))
        finally:
            self._free.put(instance)

    def read(self, response: Any, outputs: Sequence[str]) -> Mapping[str, Any]:
        """Return the arrays of one response; InferenceError with what it says."""
        return self._take([response], outputs)

    def _take(self, responses: Any, outputs: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(responses, (list, tuple)) or len(responses) != 1:
            got = (
                len(responses) if isinstance(responses, (list, tuple)) else type(responses).__name__
            )
            raise InferenceError(
                f'execute of "{self._source.path.name}" answers 1 request with {got}; return a '
                "list with a response a request"
            )
        response = responses[0]
        if response.has_error():
            raise InferenceError(response.error().message())
        arrays = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
        missing = [name for name in outputs if name not in arrays]
        if missing:
            raise InferenceError(f'the model does not give output "{missing[0]}"; return it')
        return {name: arrays[name] for name in outputs}

    def close(self) -> None:
        """Call `finalize` of each instance that has it."""
        for instance in self._all:
            with contextlib.suppress(Exception):  # the model goes away whatever it says
                getattr(instance, "finalize", lambda: None)()


def _make_request(
    given: Mapping[str, Any], outputs: Sequence[str], correlation_id: int | str = 0, flags: int = 0
) -> python_utils.InferenceRequest:
    tensors = [python_utils.Tensor(name, _as_bytes(array)) for name, array in given.items()]
    request = python_utils.InferenceRequest("", correlation_id, tensors, outputs)
    request.set_flags(flags)
    return request


def _as_bytes(array: Any) -> Any:
    """Return a tensor of texts as bytes, which Triton gives models whatever a client sent."""
    if array.dtype != object or all(isinstance(item, bytes) for item in array.flat):
        return array
    made = array.copy()
    made.flat = [item.encode() if isinstance(item, str) else item for item in array.flat]
    return made


def _validate(source: Source) -> None:
    name = source.config.name
    if not source.trust:
        raise LoadFailure(
            "ModelUntrusted",
            f'model "{name}" is Python code ("{source.path.name}"), which runs only where the '
            "model is trusted; if you trust where it comes from, set the annotation "
            'serving.sampan.dev/trust: "true" (or start the server with --trust)',
        )
    for parameter in _ELSEWHERE:
        if parameter in source.config.parameters:
            raise LoadFailure(
                "ModelIncompatible",
                f'model "{name}" names an environment of its own ({parameter}), which is not built '
                "here; leave it out and add its packages to the runtime's requirements",
            )


def _load_class(path: Path, name: str) -> Any:
    module = ModuleType(f"sampan_triton_{name}")
    module.__file__ = str(path)
    sys.modules["triton_python_backend_utils"] = python_utils
    try:
        with _importable(path.parent):
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102  # trusted
    except Exception as error:
        raise _raised(error, path, "while it is imported") from error
    found = getattr(module, CLASS, None)
    if not hasattr(found, "execute"):
        raise LoadFailure(
            "ModelFormat",
            f'"{path.name}" of model "{name}" has no class "{CLASS}" with a method "execute"; give '
            "it one",
        )
    return found


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a model import what lies beside it; the next model has files of the same names."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(folder):
                del sys.modules[name]


def _make_instance(python_class: Any, source: Source, number: int) -> Any:
    config = source.config
    arguments = {
        "model_config": json.dumps(with_defaults(ROOT, config.document)),
        "model_instance_kind": "CPU",
        "model_instance_name": f"{config.name}_0_{number}",
        "model_instance_device_id": "0",
        "model_repository": str(source.path.parents[1]),
        "model_version": str(source.version),
        "model_name": config.name,
    }
    try:
        with _importable(source.path.parent):
            instance = python_class()
            getattr(instance, "initialize", lambda _: None)(arguments)
    except Exception as error:
        raise _raised(error, source.path, 'in "initialize"') from error
    return instance


def _raised(error: Exception, path: Path, when: str) -> LoadFailure:
    return LoadFailure(
        "ModelLoadFailed",
        f"{_place(error, path)}{type(error).__name__}: {error} ({when}); mend the model",
    )


def _place(error: BaseException, path: Path) -> str:
    """Return the file and line of the model's own folder that an error went through last."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(str(path.parent))]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}: " if own else ""

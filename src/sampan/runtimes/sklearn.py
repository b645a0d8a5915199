"""scikit-learn: estimators saved with joblib, pickle or skops."""

from __future__ import annotations

import logging
import os
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.protocol.tensors import InferRequest
from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.model_files import open_model_file, select_model_file
from sampan.runtimes.pickles import Untrusted, load_restricted, parse_names
from sampan.runtimes.sklearn_blame import blame, make_columns
from sampan.runtimes.sklearn_quick import make_quick_predict
from sampan.runtimes.sklearn_rows import is_row_wise
from sampan.runtimes.sklearn_skops import load_skops
from sampan.runtimes.sklearn_types import UNKNOWN, Tensors, observe_types
from sampan.runtimes.tabular_columns import Columns
from sampan.server.load_failure import LoadFailure, missing_package
from sampan.server.model import Headers, Model
from sampan.server.payloads import get_predict_input, get_predict_response

logger = logging.getLogger("sampan.runtimes.sklearn")

RUNTIME = Runtime(
    name="kserve-sklearnserver",
    server_type="sklearnserver",
    formats=(ModelFormat("sklearn", "1", priority=1, auto_select=True),),
    protocol_versions=("v1", "v2"),
    images=("kserve/sklearnserver", "kserve-sklearnserver"),
    model="sampan.runtimes.sklearn:SKLearnModel",
    extensions=(".joblib", ".pkl", ".pickle", ".skops"),
    requirements=(
        *SERVER_REQUIREMENTS,
        "scikit-learn>=1.4",
        "joblib>=1.4",
        "pandas>=2.2",
        "skops>=0.13",
    ),
    package="scikit-learn",
    preload=(
        *SERVER_PRELOAD,
        "sampan.runtimes.sklearn",
        "joblib",
        "sklearn.base",
        "sklearn.compose",
        "sklearn.ensemble",
        "sklearn.linear_model",
        "sklearn.neighbors",
        "sklearn.pipeline",
        "sklearn.preprocessing",
        "sklearn.svm",
        "sklearn.tree",
    ),
    entry_arguments=("--runtime=sklearn", "--grpc_port=0"),
)

ALLOWED_FILE = Path(__file__).with_name("sklearn_allowed.txt")
# What a pickle holds around the version that BaseEstimator.__getstate__ saves: the key, an
# optional memo opcode, the opcode of a string with its length, the text.
_SAVED_VERSION = re.compile(
    rb"_sklearn_version(?:\x94|q.|r....|p\d+\n)?(?:\x8c.|X....|V)(\d+\.\d+(?:\.\w+)*)", re.DOTALL
)
_WARM_ROUNDS = 3
_UNREADABLE = (AttributeError, ImportError, TypeError, ValueError, KeyError, IndexError)


class SKLearnModel(Model):
    """A fitted estimator. PREDICT_PROBA=true answers with probabilities where it has them."""

    quick = True
    takes_arrays = True
    takes_headers = False

    def __init__(
        self,
        name: str,
        model_dir: str,
        *,
        trust: bool = False,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(name)
        self._folder = Path(model_dir)
        self._trust = trust
        self._allowed = allowed
        self._estimator: Any = None
        self._predict: Any = None
        self._width = 0
        self._types = UNKNOWN
        self._columns: Columns | None = None

    def load(self) -> bool:
        """Load the one model file of the folder; LoadFailure tells what is wrong with it."""
        try:
            import sklearn.base  # noqa: F401  # its version, and its warning class, come first
        except ImportError as error:
            raise missing_package("scikit-learn", error) from None
        path = select_model_file(self._folder, RUNTIME.extensions)
        estimator = self._read(path)
        self._estimator = estimator
        self._predict = _select_predict(estimator, path)
        if self._predict == getattr(estimator, "predict", None):
            self._predict = make_quick_predict(estimator) or self._predict
        self._width = getattr(estimator, "n_features_in_", 0)
        for text in ("X does not have valid feature names", "X has feature names, but"):
            # Columns by place are as good as by name, and a name where none is known does no harm.
            warnings.filterwarnings("ignore", text, UserWarning)
        self._types = observe_types(self._predict, self._width)
        self._columns = make_columns(estimator, numeric=bool(self._types.inputs))
        self.row_wise = is_row_wise(estimator)
        self.ready = True
        return self.ready

    def warm_up(self) -> None:
        """Predict a row of zeros: libraries that load and allocate late do it now."""
        if self._types.inputs:
            for _ in range(_WARM_ROUNDS):
                self.predict({"instances": [[0.0] * self._width]})

    def get_input_types(self) -> Tensors:
        """Return the matrix that it takes; nothing where it takes something else than numbers."""
        return self._types.inputs

    def get_output_types(self) -> Tensors:
        """Return what it answers to such a matrix."""
        return self._types.outputs

    def _read(self, path: Path) -> Any:
        from sklearn import __version__ as installed
        from sklearn.exceptions import InconsistentVersionWarning

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                estimator = self._unpickle(path)
            except Untrusted as untrusted:
                raise make_refusal(path, untrusted.name) from None
            except MemoryError:
                raise
            except LoadFailure:
                raise
            except Exception as error:
                raise _diagnose(path, error, installed) from error
        for warning in caught:
            if not isinstance(warning.message, InconsistentVersionWarning):
                logger.warning("while loading %s: %s", path.name, warning.message)
        saved = {
            w.message.original_sklearn_version
            for w in caught
            if isinstance(w.message, InconsistentVersionWarning)
        }
        if saved:
            logger.warning(
                'model file "%s" was saved with scikit-learn %s and is served with %s; predictions '
                'may differ; set runtimeVersion to "%s"',
                path.name,
                ", ".join(sorted(saved)),
                installed,
                max(saved),
            )
        return estimator

    def _unpickle(self, path: Path) -> Any:
        allowed = parse_names(ALLOWED_FILE.read_text()) | self._allowed
        if path.suffix == ".skops":
            return load_skops(path, allowed, trust=self._trust)
        if self._trust:
            import joblib

            return joblib.load(path)
        with open_model_file(path) as file:
            return load_restricted(file, allowed)

    def predict(
        self,
        payload: Any,
        headers: Headers | None = None,
        response_headers: Headers | None = None,
    ) -> Any:
        """Answer a V1 or V2 payload. What scikit-learn finds wrong with the values is a 400."""
        del headers, response_headers
        return self._answer(payload, self._predict)

    def predict_by(self, function: str, payload: Any) -> Any:
        """Answer by another function of the estimator, as `transform`; InvalidInput without it."""
        run = getattr(self._estimator, function, None)
        if run is None:
            raise InvalidInput(
                f'the model, a "{type(self._estimator).__name__}", has no "{function}"; ask for '
                "what it has"
            )
        return self._answer(payload, run)

    def _answer(self, payload: Any, run: Any) -> Any:
        rows = _make_rows(payload)
        try:
            result = run(rows)
        except (ValueError, TypeError) as error:
            raise blame(payload, error, self._columns) from error
        except Exception as error:
            raise InferenceError(str(error)) from error
        return get_predict_response(payload, result, self.name)


def _make_rows(payload: Any) -> Any:
    """Return what the payload asks about; a tensor a column is a DataFrame, said so or not."""
    if isinstance(payload, InferRequest) and len(payload.inputs) > 1:
        return payload.as_dataframe()
    return get_predict_input(payload)


def _select_predict(estimator: Any, path: Path) -> Any:
    probabilities = os.environ.get("PREDICT_PROBA", "").lower() == "true"
    if probabilities and hasattr(estimator, "predict_proba"):
        return estimator.predict_proba
    if not hasattr(estimator, "predict"):
        raise LoadFailure(
            "ModelIncompatible",
            f'model file "{path.name}" holds a "{type(estimator).__name__}", which cannot predict; '
            "save the fitted estimator or pipeline itself",
        )
    return estimator.predict


def make_refusal(path: Path, name: str) -> LoadFailure:
    """Return the failure of a file that names what is not on the allow-list."""
    return LoadFailure(
        "ModelUntrusted",
        f'model file "{path.name}" names "{name}", which is not on the allow-list of classes; if '
        'you trust where the model comes from, set the annotation serving.sampan.dev/trust: "true" '
        "(or start the server with --trust), else save it without that class",
    )


def _diagnose(path: Path, error: Exception, installed: str) -> LoadFailure:
    """Tell a file of another scikit-learn from one that is no model."""
    saved = _saved_version(path)
    what = f"{type(error).__name__}: {error}"
    if saved and saved != installed and isinstance(error, _UNREADABLE):
        return LoadFailure(
            "ModelIncompatible",
            f'model file "{path.name}" was saved with scikit-learn {saved} and cannot be read by '
            f'{installed} ({what}); set runtimeVersion: "{saved}"',
        )
    if isinstance(error, ImportError):
        return LoadFailure(
            "ModelIncompatible",
            f'model file "{path.name}" needs a module that is not in the environment ({what}); '
            "add it to the requirements, or set the runtimeVersion that it was saved with",
        )
    kind = "ModelCorrupt" if _is_damage(error) or not saved else "ModelIncompatible"
    return LoadFailure(
        kind,
        f'model file "{path.name}" cannot be read as a pickle or joblib file ({what}); save it '
        "again with joblib.dump, and check that the copy is whole",
    )


def _is_damage(error: Exception) -> bool:
    return isinstance(error, (pickle.UnpicklingError, EOFError, OSError, UnicodeDecodeError))


def _saved_version(path: Path) -> str:
    """Return the version of scikit-learn that saved the file, as far as it can be read."""
    try:
        with open_model_file(path) as file:
            found = _SAVED_VERSION.search(file.read())
    except Exception:  # noqa: BLE001  # the file is damaged: that is being told already
        return ""
    return found[1].decode() if found else ""

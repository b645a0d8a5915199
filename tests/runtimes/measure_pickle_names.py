"""Measures which names the pickles of scikit-learn's estimators hold.

Run by hand with each scikit-learn to be covered; what it prints is reviewed and merged into
`src/sampan/runtimes/sklearn_allowed.txt`:

    python tests/runtimes/measure_pickle_names.py > names.txt
"""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np


def fitted_estimators() -> Iterator[tuple[str, Any]]:
    """Yield a name and an estimator for everything that can be fitted on a small table."""
    from sklearn.datasets import load_iris
    from sklearn.utils import all_estimators

    x, y = load_iris(return_X_y=True)
    x, y = x[::3], y[::3]
    for name, cls in all_estimators():
        for estimator in variants(name, cls):
            for target in (y, (y > 0).astype(int), x[:, :2], np.abs(x[:, 0])):
                try:
                    yield name, estimator.fit(np.abs(x), target)
                    break
                except Exception:  # noqa: BLE001, S112  # this target is not for it
                    continue
    yield from composed(x, y)


def variants(name: str, cls: Any) -> list[Any]:
    """Return instances: with defaults where there are some, else around a small estimator."""
    from sklearn.linear_model import LogisticRegression, Ridge

    inner = Ridge() if "Regress" in name else LogisticRegression()
    attempts = [
        {},
        {"estimator": inner},
        {"estimators": [("a", inner)]},
        {"transformers": [("a", "passthrough", [0])]},
        {"transformer_list": [("a", "passthrough")]},
        {"steps": [("a", inner)]},
        {"estimator": inner, "param_grid": {"alpha" if inner.__class__ is Ridge else "C": [1.0]}},
        {"estimator": inner, "param_distributions": {"C": [1.0, 2.0]}, "n_iter": 1},
        {"base_estimator": inner},
        {"dictionary": np.ones((2, 4))},
    ]
    found = []
    for arguments in attempts:
        try:
            found.append(cls(**arguments))
        except TypeError:
            continue
    if "loss" in getattr(cls, "_parameter_constraints", {}):
        options = getattr(cls._parameter_constraints["loss"][0], "options", ())
        found.extend(cls(loss=option) for option in sorted(map(str, options)))
    if "metric" in getattr(cls, "_parameter_constraints", {}) and "Neighbors" in name:
        found.extend(
            cls(algorithm=a, metric=m)
            for a in ("ball_tree", "kd_tree")
            for m in ("euclidean", "manhattan", "chebyshev", "minkowski")
        )
    return found


def composed(x: Any, y: Any) -> Iterator[tuple[str, Any]]:
    """Yield what people build: pipelines, columns by type, text, random states, ufuncs."""
    from sklearn.compose import ColumnTransformer, make_column_selector
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.gaussian_process import GaussianProcessRegressor, kernels
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    columns = ColumnTransformer(
        [("a", StandardScaler(), [0, 1]), ("b", OneHotEncoder(), slice(2, 3))]
    )
    yield "columns", make_pipeline(columns, LogisticRegression()).fit(x, y)
    yield "selector", ColumnTransformer([("a", "passthrough", make_column_selector())])
    union = FeatureUnion([("s", StandardScaler()), ("f", FunctionTransformer(np.log1p))])
    yield "union", make_pipeline(union, LogisticRegression()).fit(np.abs(x), y)
    for state in (np.random.RandomState(0), 3):  # what estimators take
        yield "state", RandomForestClassifier(n_estimators=2, random_state=state).fit(x, y)
    text = ["red green", "green blue", "blue black"]
    for vectorizer in (CountVectorizer(), TfidfVectorizer(dtype=np.float32)):
        yield "text", make_pipeline(vectorizer, LogisticRegression()).fit(text, [0, 1, 1])
    yield "labels", LogisticRegression().fit(x, np.array(["a", "b", "c"])[y])
    yield "objects", LogisticRegression().fit(x, np.array(["a", "b", "c"], dtype=object)[y])
    for name in kernels.__all__ if hasattr(kernels, "__all__") else dir(kernels):
        cls = getattr(kernels, name)
        if isinstance(cls, type) and issubclass(cls, kernels.Kernel):
            try:
                yield "kernel", GaussianProcessRegressor(cls()).fit(x, y)
            except Exception:  # noqa: BLE001, S112  # abstract, or takes other kernels
                continue
    for generator in (
        np.random.MT19937,
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.Philox,
        np.random.SFC64,
    ):
        yield "generator", np.random.Generator(generator(1))
    yield "scalars", [np.dtype(t).type(1) for t in "?bhilqBHILQefd"] + [np.str_("a")]


def names_in(blob: bytes) -> set[str]:
    """Return `module:qualname` of everything that a plain pickle or joblib file names."""
    names: set[str] = set()

    class Recorder(joblib.numpy_pickle.NumpyUnpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            names.add(f"{module}:{name}")
            return super().find_class(module, name)

    file = io.BytesIO(blob)
    try:
        Recorder("", file, ensure_native_byte_order=False).load()
    except TypeError:
        Recorder("", file).load()
    return names


def blobs_of(value: Any) -> Iterator[bytes]:
    """Yield the ways in which people save: pickle's protocols, and joblib."""
    for protocol in (0, 2, 4, 5):
        yield pickle.dumps(value, protocol)
    file = io.BytesIO()
    joblib.dump(value, file)
    yield file.getvalue()


def main() -> None:
    """Print the names, sorted."""
    warnings.simplefilter("ignore")
    found: set[str] = set()
    count = 0
    for name, value in fitted_estimators():
        try:
            for blob in blobs_of(value):
                found |= names_in(blob)
            count += 1
        except Exception as error:  # noqa: BLE001  # some cannot be saved at all
            sys.stderr.write(f"{name}: {error}\n")
    sys.stderr.write(f"{count} estimators, {len(found)} names\n")
    sys.stdout.write("\n".join(sorted(found)) + "\n")


if __name__ == "__main__":
    main()

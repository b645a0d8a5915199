"""Anchors: a rule about a few features under which the model nearly always says the same.

The answer has the form of Alibi's AnchorTabular, which KServe documents and whose licence is not
open any more. The search is our own (`anchor_search.py`): the authors' library had its last
release in September 2020.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.declaration import SERVER_REQUIREMENTS
from sampan.runtimes.explainers.anchor_search import Rule, Search, find_anchor
from sampan.runtimes.explainers.asking import Asking
from sampan.runtimes.explainers.asking_model import AskingModel
from sampan.runtimes.explainers.background import load_background, read_rows
from sampan.runtimes.explainers.bins import Bins
from sampan.runtimes.explainers.declaration import Asked, Explainer
from sampan.server.model import Headers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


class AnchorsExplainer(AskingModel):
    """Explains one row at a time, by a model that answers a class or a score for each."""

    def __init__(self, name: str, asked: Asked, settings: Namespace) -> None:
        super().__init__(name, asked, settings)
        self._bins: Bins | None = None

    def load(self) -> bool:
        """Read the background, and cut its features."""
        names, background = load_background(Path(self._settings.model_dir))
        self._bins = Bins(names, background)
        return super().load()

    def explain(self, payload: Any, headers: Headers | None = None) -> dict[str, Any]:
        """Return `names` (the conditions), `precision`, `coverage` and `raw` (Alibi's form)."""
        bins = self._bins
        if bins is None:
            raise InvalidInput("the explainer has no background yet")
        rows = read_rows(payload, len(bins.names))
        if len(rows) != 1:
            raise InvalidInput(f'"instances" holds {len(rows)} rows; send the one to explain')
        with self._asking(headers) as asking:
            return {"explanations": self._explain(rows[0], bins, asking)}

    def _explain(self, row: Floats, bins: Bins, asking: Asking) -> dict[str, Any]:
        import numpy as np

        settings = self._settings
        said = select_classes(asking(row[None]))[0]
        drawn = np.random.default_rng(settings.seed)
        place = bins.locate(row)

        def sample(rule: Rule, count: int) -> int:
            changed = bins.sample(row, place, rule, count, drawn)
            return int((select_classes(asking(changed)) == said).sum())

        found = find_anchor(
            len(row), sample, lambda rule: bins.coverage(place, rule),
            Search(settings.threshold, settings.delta, settings.tau, settings.beam_size,
                   settings.sample_size, settings.max_samples),
        )  # fmt: skip
        features = sorted(found.rule)
        return {
            "names": [bins.describe(feature, place) for feature in features],
            "precision": found.precision,
            "coverage": bins.coverage(place, found.rule),
            "raw": {
                "feature": features,
                "instance": row.tolist(),
                "prediction": said.tolist(),
                "success": found.holds,
                "asked": asking.rows,
            },
        }


def select_classes(answers: Floats) -> Floats:
    """Return what is said of each row: the class of the highest score, or the answer itself."""
    if answers.ndim == 2 and answers.shape[1] > 1:
        classes: Floats = answers.argmax(axis=1).astype(float)
        return classes
    return answers.ravel()


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise ArgumentTypeError(f'"{text}" is not between 0 and 1')
    return share


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ArgumentTypeError(f'"{text}" is not 1 or more')
    return count


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--model_dir", default="/mnt/models", help="the folder of the background")
    add("--threshold", type=_share, default=0.95, help="the precision that a rule must have")
    add("--delta", type=_share, default=0.1, help="how often it may be wrong about that")
    add("--tau", type=_share, default=0.15, help="rules nearer than this are as good as equal")
    add("--beam_size", type=_count, default=3, help="how many rules of a length are kept")
    add("--sample_size", type=_count, default=100, help="rows that a rule is tried on at a time")
    add("--max_samples", type=_count, default=100_000, help="rows that are asked at the most")
    add("--seed", type=int, default=0, help="the same row gives the same answer")


EXPLAINER = Explainer(
    name="anchors",
    images=("sampan/anchors-explainer",),
    requirements=SERVER_REQUIREMENTS,
    package="",
    add_arguments=_add_arguments,
    make=AnchorsExplainer,
    arguments=("--model_dir=/mnt/models",),
)

"""LIME: what each feature, each part of an image or each word weighs in what the model says.

KServe's AIX explainer took images; its arguments, request and answer are kept. The arithmetic is
our own (`lime_fit.py`): the authors' library had its last release in June 2020.
"""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.declaration import SERVER_REQUIREMENTS
from sampan.runtimes.explainers.asking import Asking
from sampan.runtimes.explainers.asking_model import AskingModel
from sampan.runtimes.explainers.background import load_background, read_rows
from sampan.runtimes.explainers.declaration import Asked, Explainer
from sampan.runtimes.explainers.lime_fit import (
    Fit,
    derive_cosine,
    derive_fit,
    derive_kernel,
    make_masks,
)
from sampan.runtimes.explainers.lime_settings import Settings, add_arguments, read_settings
from sampan.runtimes.explainers.scores import make_scores
from sampan.runtimes.explainers.segments import find_segments, prepare_segmentation
from sampan.server.model import Headers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

_MASK_WIDTH = 0.25  # of the kernel of images and texts, in cosine distance: the authors' value
_ROW_WIDTH = 0.75  # of that of rows, times the square root of the features: theirs too
_FEATURES = 10  # of an image's parts, the most that a mask shows (AIX360)
_WORD = re.compile(r"\w+")


class LimeExplainer(AskingModel):
    """Explains images, texts or rows, by what the predictor says when something is changed."""

    def __init__(self, name: str, asked: Asked, settings: Namespace) -> None:
        super().__init__(name, asked, settings)
        self._names: list[str] = []
        self._background: Floats | None = None

    def load(self) -> bool:
        """Read the background where rows are explained."""
        if self._settings.explainer_type == "LimeTabular":
            self._names, self._background = load_background(Path(self._settings.model_dir))
        elif self._settings.explainer_type == "LimeImages":
            prepare_segmentation()

        return super().load()

    def explain(self, payload: Any, headers: Headers | None = None) -> dict[str, Any]:
        """Return the explanations of the type that the explainer was started with."""
        settings = read_settings(payload, self._settings)
        explain = {"LimeImages": self._images, "LimeTexts": self._texts}.get(
            self._settings.explainer_type, self._rows
        )
        with self._asking(headers) as asking:
            return {"explanations": explain(payload, settings, asking)}

    def _images(self, payload: Any, settings: Settings, asking: Asking) -> dict[str, Any]:
        """Return KServe's `temp`, `masks` and `top_labels`; also `segments` and `weights`."""
        import numpy as np

        image = read_image(payload)
        deep = image if image.ndim == 3 else image[:, :, None]
        segments = find_segments(deep, settings.segmentation_alg)
        masks = make_masks(int(segments.max()) + 1, settings.num_samples, settings.seed)
        kept = masks[:, segments] if image.ndim == 2 else masks[:, segments][..., None]
        changed = image * kept  # a part that is left out is black
        if settings.flat:
            changed = changed.reshape(len(changed), -1)
        scores = make_scores(asking(changed), settings.nb_classes)
        near = derive_kernel(derive_cosine(masks), _MASK_WIDTH)
        labels = np.argsort(-scores[0], kind="stable")[: settings.top_labels]
        fits = [derive_fit(masks, scores[:, label], near) for label in labels]
        return {
            "temp": image.tolist(),
            "masks": [render_mask(segments, fit.weights, settings).tolist() for fit in fits],
            "top_labels": labels.tolist(),
            "segments": segments.tolist(),
            "weights": [fit.weights.tolist() for fit in fits],
        }

    def _texts(self, payload: Any, settings: Settings, asking: Asking) -> dict[str, Any]:
        """Return words and what they weigh, the heaviest first, by label."""
        import numpy as np

        text = read_text(payload)
        words = list(dict.fromkeys(_WORD.findall(text)))
        masks = make_masks(len(words), settings.num_samples, settings.seed)
        changed = np.array([leave_out(text, words, mask) for mask in masks], dtype=object)
        scores = make_scores(asking(changed), settings.nb_classes)
        near = derive_kernel(derive_cosine(masks), _MASK_WIDTH)
        labels = np.argsort(-scores[0], kind="stable")[: settings.top_labels]
        fits = {str(label): derive_fit(masks, scores[:, label], near) for label in labels}
        return {label: _heaviest(words, fit) for label, fit in fits.items()}

    def _rows(self, payload: Any, settings: Settings, asking: Asking) -> dict[str, Any]:
        """Return weights a feature of each row, for what the model says of it most."""
        background = self._background
        if background is None:
            raise InvalidInput("the explainer has no background yet")
        rows = read_rows(payload, background.shape[1])
        told = [self._row(row, background, settings, asking) for row in rows]
        return {
            "feature_names": self._names,
            "labels": [label for label, _, _ in told],
            "predictions": [said for _, said, _ in told],
            "weights": [fit.weights.tolist() for _, _, fit in told],
            "intercepts": [fit.intercept for _, _, fit in told],
            "local_predictions": [fit.local for _, _, fit in told],
            "scores": [fit.r2 for _, _, fit in told],
        }

    def _row(
        self, row: Floats, background: Floats, settings: Settings, asking: Asking
    ) -> tuple[int, float, Fit]:
        """Return what was explained (its column), what the model says there, and the line.

        Weights are for a change by one standard deviation of the background.
        """
        import numpy as np

        spread = background.std(axis=0)
        shape = (settings.num_samples, len(row))
        steps = np.random.default_rng(settings.seed).standard_normal(shape)
        steps[0] = 0
        scores = make_scores(asking(row + steps * spread), settings.nb_classes)
        label = int(scores[0].argmax())
        near = derive_kernel(np.linalg.norm(steps, axis=1), _ROW_WIDTH * np.sqrt(len(row)))
        return label, float(scores[0, label]), derive_fit(steps, scores[:, label], near)


def render_mask(segments: Any, weights: Floats, settings: Settings) -> Any:
    """Return 1 where a part speaks for the label, -1 where against it, 0 where it weighs little."""
    import numpy as np

    heaviest = np.argsort(-np.abs(weights), kind="stable")
    if settings.positive_only:
        heaviest = heaviest[weights[heaviest] > 0]
    shown = [part for part in heaviest if abs(weights[part]) > settings.min_weight][:_FEATURES]
    mask = np.zeros(segments.shape, dtype=int)
    for part in shown:
        mask[segments == part] = 1 if weights[part] > 0 else -1
    return mask


def leave_out(text: str, words: list[str], mask: Floats) -> str:
    """Return a text without the words whose mask is 0."""
    gone = {word for word, stays in zip(words, mask, strict=True) if not stays}
    return _WORD.sub(lambda found: "" if found[0] in gone else found[0], text)


def read_image(payload: Any) -> Floats:
    """Return the one image of a request: rows of pixels, with channels or without."""
    import numpy as np

    try:
        image = np.asarray(_read_one(payload, "an image"), dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the image must be numbers: {error}") from None
    if image.ndim not in {2, 3} or not image.size or not np.isfinite(image).all():
        raise InvalidInput(
            f"the image has shape {list(image.shape)}; send rows of finite numbers, with channels "
            "innermost where there are any"
        )
    return image


def read_text(payload: Any) -> str:
    """Return the one text of a request."""
    text = _read_one(payload, "a text")
    if not isinstance(text, str) or not _WORD.search(text):
        raise InvalidInput(f'"instances" holds {str(text)[:80]!r}; send a text with words')
    return text


def _read_one(payload: Any, what: str) -> Any:
    instances = payload.get("instances") if isinstance(payload, dict) else None
    if not isinstance(instances, list) or len(instances) != 1:
        count = len(instances) if isinstance(instances, list) else 0
        raise InvalidInput(f'"instances" holds {count}; send one, {what}')
    return instances[0]


def _heaviest(words: list[str], fit: Fit) -> list[list[Any]]:
    pairs = sorted(zip(words, fit.weights.tolist(), strict=True), key=lambda pair: -abs(pair[1]))
    return [[word, weight] for word, weight in pairs[:_FEATURES]]


EXPLAINER = Explainer(
    name="lime",
    images=("sampan/lime-explainer", "kserve/aix-explainer"),
    requirements=(*SERVER_REQUIREMENTS, "scikit-image>=0.24"),
    package="scikit-image",
    add_arguments=add_arguments,
    make=LimeExplainer,
    arguments=("--model_dir=/mnt/models",),
)

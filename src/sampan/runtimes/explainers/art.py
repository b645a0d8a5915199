"""Adversarial examples by the Adversarial Robustness Toolbox: how little change fools the model.

KServe's ART explainer: `{"instances": [image, label]}` gives the image that the attack found, how
far it is from the one that was sent, and what the model says of both. Only attacks that need
nothing of a model but its answers are here, for the predictor gives no more.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.declaration import SERVER_REQUIREMENTS
from sampan.runtimes.explainers.asking import Asking
from sampan.runtimes.explainers.asking_model import AskingModel, drawing
from sampan.runtimes.explainers.declaration import Explainer
from sampan.runtimes.explainers.scores import one_hot
from sampan.server.model import Headers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

ATTACKS = {
    "SquareAttack": ("max_iter", "eps", "nb_restarts"),
    "HopSkipJump": ("max_iter", "targeted"),
    "BoundaryAttack": ("max_iter", "targeted"),
    "SignOPTAttack": ("max_iter", "targeted"),
    "PixelAttack": ("max_iter", "targeted"),
    "ZooAttack": ("max_iter", "targeted"),
    "SimBA": ("max_iter", "targeted"),
    "SpatialTransformation": (
        "max_translation", "num_translations", "max_rotation", "num_rotations",
    ),
}  # fmt: skip
"""Attack by name: which arguments it is told. Upstream knows the first. ZooAttack and SimBA find
nothing where the model tells classes and no scores. Left out are those of the library that need
gradients, a module that it does not bring (ThresholdAttack), or a larger image (GeoDA)."""


class ArtExplainer(AskingModel):
    """Attacks the predictor with one image at a time."""

    def load(self) -> bool:
        """Import the library, which takes seconds."""
        import art.attacks.evasion
        import art.estimators.classification  # noqa: F401  # for the first request

        return super().load()

    def explain(self, payload: Any, headers: Headers | None = None) -> dict[str, Any]:
        """Return `adversarial_example`, `L2 error`, `adversarial_prediction` and `prediction`."""
        import numpy as np

        image, label = read_instances(payload, self._settings.nb_classes)
        with drawing(self._settings.seed), self._asking(headers) as asking:
            found, said, first = self._attack(asking, image, label)
        return {
            "explanations": {
                "adversarial_example": found.reshape(image.shape).tolist(),
                "L2 error": float(np.linalg.norm(found.ravel() - image.ravel())),
                "adversarial_prediction": said,
                "prediction": first,
            }
        }

    def _attack(self, asking: Asking, image: Floats, label: Floats) -> tuple[Floats, int, int]:
        """Return the image that was found, and what the model says of it and of the first."""
        from art.attacks import evasion
        from art.estimators.classification import BlackBoxClassifierNeuralNetwork

        settings, batch = self._settings, image.reshape(1, *image.shape)
        while batch.ndim < 4:  # height, width and channels, which the attacks count on
            batch = batch[..., None] if batch.ndim > 2 else batch[:, None]

        def answers(rows: Floats) -> Floats:
            try:
                return one_hot(asking(rows.reshape(len(rows), -1)), settings.nb_classes)
            except InvalidInput as error:  # not the client's: the predictor says so
                raise InferenceError(f"the predictor: {error}") from None

        classifier = BlackBoxClassifierNeuralNetwork(
            answers, batch.shape[1:], settings.nb_classes, channels_first=False,
            clip_values=(settings.clip_min, settings.clip_max),
        )  # fmt: skip
        told = {**vars(settings), "targeted": False}  # any other class will do
        options = {name: told[name] for name in ATTACKS[settings.adversary_type]}
        attack = getattr(evasion, settings.adversary_type)(classifier, verbose=False, **options)
        found = attack.generate(x=batch, y=label)
        first, said = (int(classifier.predict(one).argmax()) for one in (batch, found))
        return found, said, first


def read_instances(payload: Any, classes: int) -> tuple[Floats, Floats]:
    """Return the image and its label as one row of zeros and a one. Raises InvalidInput."""
    import numpy as np

    instances = payload.get("instances") if isinstance(payload, dict) else None
    if not isinstance(instances, list) or len(instances) != 2:
        raise InvalidInput('"instances" must hold two: an image, and its label')
    try:
        image = np.asarray(instances[0], dtype=np.float32)
        label = np.asarray(instances[1], dtype=float).ravel()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the image and its label must be numbers: {error}") from None
    if not 1 <= image.ndim <= 4 or not image.size or not np.isfinite(image).all():
        raise InvalidInput(
            f"the image has shape {list(image.shape)}; send rows of finite numbers, with channels "
            "innermost where there are any"
        )
    if label.size not in {1, classes}:
        raise InvalidInput(
            f"the label has {label.size} numbers; send a class from 0 to {classes - 1}, or one "
            "number for each class"
        )
    if label.size == classes > 1:
        return image, label[None]
    return image, one_hot(label, classes)


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--adversary_type", choices=tuple(ATTACKS), default=next(iter(ATTACKS)))
    add("--max_iter", type=int, default=1000, help="rounds of an attack")
    add("--nb_classes", type=int, default=10, help="how many classes the model knows")
    add("--eps", type=float, default=0.3, help="SquareAttack: the most that a number changes")
    add("--nb_restarts", type=int, default=1, help="SquareAttack: attempts")
    spatial = "SpatialTransformation: "
    add("--max_translation", type=float, default=20.0, help=spatial + "percent of the image")
    add("--num_translations", type=int, default=5, help=spatial + "steps each way")
    add("--max_rotation", type=float, default=30.0, help=spatial + "degrees")
    add("--num_rotations", type=int, default=5, help=spatial + "steps")
    add("--clip_min", type=float, default=0.0, help="the least that a number may be")
    add("--clip_max", type=float, default=1.0, help="the most")
    add("--seed", type=int, default=0, help="the same image gives the same answer")


EXPLAINER = Explainer(
    name="art",
    images=("kserve/art-explainer",),
    # The library imports "packaging" and does not ask for it.
    requirements=(*SERVER_REQUIREMENTS, "adversarial-robustness-toolbox>=1.18", "packaging"),
    package="adversarial-robustness-toolbox",
    add_arguments=_add_arguments,
    make=ArtExplainer,
)

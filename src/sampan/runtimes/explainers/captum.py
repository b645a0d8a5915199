"""Captum: which of a network's inputs its answer comes from.

Some methods follow the network's gradients: its file must lie in the explainer's storage too, as
TorchScript. The others change inputs and ask the predictor, in batches.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.protocol.errors import InferenceError, InvalidInput
from sampan.runtimes.declaration import SERVER_REQUIREMENTS
from sampan.runtimes.explainers.asking import Asking
from sampan.runtimes.explainers.asking_model import AskingModel
from sampan.runtimes.explainers.declaration import Asked, Explainer
from sampan.runtimes.explainers.scores import make_scores
from sampan.runtimes.model_files import select_model_file
from sampan.runtimes.pytorch_session import PytorchSession
from sampan.server.model import Headers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

GRADIENTS = ("IntegratedGradients", "Saliency", "InputXGradient")
ASKING = ("FeatureAblation", "ShapleyValueSampling", "Occlusion")
EXTENSIONS = (".pt", ".pth", ".ts")


class CaptumExplainer(AskingModel):
    """Attributes what is said of each instance to the numbers that it is made of."""

    def __init__(self, name: str, asked: Asked, settings: Namespace) -> None:
        super().__init__(name, asked, settings)
        self._program: Any = None

    def load(self) -> bool:
        """Import the library, and load the network where its gradients are followed."""
        import captum.attr  # type: ignore[import-not-found]  # noqa: F401  # in its environment

        if self._settings.explainer_type in GRADIENTS:
            path = select_model_file(Path(self._settings.model_dir), EXTENSIONS)
            self._program = PytorchSession(path, trust=False).program
        return super().load()

    def explain(self, payload: Any, headers: Headers | None = None) -> dict[str, Any]:
        """Return `attributions` (of the instances' own shape), `targets` and `predictions`.

        A target is the column of the score that is explained, the highest; null for a model that
        says one number of each instance.
        """
        rows = read_instances(payload)
        with self._asking(headers) as asking:
            scores = make_scores(asking(rows), self._settings.nb_classes)
            targets = scores.argmax(axis=1).tolist() if scores.shape[1] > 1 else None
            found = self._attribute(asking, rows, targets)
        return {
            "explanations": {
                "attributions": found.tolist(),
                "targets": targets or [None] * len(rows),
                "predictions": scores.tolist(),
                "explainer_type": self._settings.explainer_type,
            }
        }

    def _attribute(self, asking: Asking, rows: Floats, targets: list[int] | None) -> Floats:
        import torch  # type: ignore[import-not-found]  # in its environment
        from captum import attr

        kind = self._settings.explainer_type
        torch.manual_seed(self._settings.seed)  # what samples are drawn from
        inputs = torch.as_tensor(rows, dtype=torch.float32)

        def ask(changed: Any) -> Any:
            said = asking(changed.detach().numpy())
            return torch.as_tensor(make_scores(said, self._settings.nb_classes)).float()

        make = getattr(attr, kind)(self._program if kind in GRADIENTS else ask)
        wanted = self._options(inputs.shape[1:])
        if kind in GRADIENTS:
            inputs.requires_grad_(requires_grad=True)
        target = None if targets is None else torch.as_tensor(targets)
        try:
            found = make.attribute(inputs, target=target, **wanted)
        except (RuntimeError, AssertionError, IndexError) as error:
            last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise InferenceError(f"{kind} does not go with this network: {last[0]}") from error
        made: Floats = found.detach().numpy()
        return made

    def _options(self, shape: Any) -> dict[str, Any]:
        """Return what a method is told beyond the inputs; `shape` is an instance's."""
        settings, batch = self._settings, self._asked.batch_size
        if settings.explainer_type == "IntegratedGradients":
            return {"n_steps": settings.n_steps, "internal_batch_size": batch}
        if settings.explainer_type in GRADIENTS:
            return {}
        told = {"perturbations_per_eval": batch}
        if settings.explainer_type == "ShapleyValueSampling":
            return {**told, "n_samples": settings.n_samples}
        if settings.explainer_type == "Occlusion":
            return {**told, "sliding_window_shapes": tuple(min(settings.window, n) for n in shape)}
        return told


def read_instances(payload: Any) -> Floats:
    """Return the instances of a request, all of one shape. Raises InvalidInput."""
    import numpy as np

    instances = payload.get("instances") if isinstance(payload, dict) else None
    try:
        rows = np.asarray(instances, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f'"instances" must be numbers, all of one shape: {error}') from None
    if rows.ndim < 2 or not rows.size or not np.isfinite(rows).all():
        raise InvalidInput(
            f'"instances" has shape {list(rows.shape)}; send a list of instances of finite numbers'
        )
    return rows


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--explainer_type", choices=(*GRADIENTS, *ASKING), default=GRADIENTS[0])
    add("--model_dir", default="/mnt/models", help="the folder of the network (TorchScript)")
    add("--n_steps", type=int, default=50, help="IntegratedGradients: steps of the way")
    add("--n_samples", type=int, default=25, help="ShapleyValueSampling: orders that are tried")
    add("--window", type=int, default=2, help="Occlusion: the side of what is covered")
    add("--nb_classes", type=int, default=0, help="so many, where the model answers a class")
    add("--seed", type=int, default=0, help="the same request gives the same answer")


EXPLAINER = Explainer(
    name="captum",
    images=("sampan/captum-explainer",),
    requirements=(*SERVER_REQUIREMENTS, "torch>=2.6", "captum>=0.8"),
    package="captum",
    add_arguments=_add_arguments,
    make=CaptumExplainer,
    arguments=("--model_dir=/mnt/models",),
    # torch itself starts threads, so nothing of it is imported before a fork
)

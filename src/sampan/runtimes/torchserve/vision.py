"""torchvision whose compiled operators do not load: its Python is used without them.

A build of torchvision for GPUs finds no CUDA in a PyTorch for processors, and then not even its
import passes: it describes operators that are not there. The handlers of pictures need its
transforms and networks, which are Python; what a detector needs beside them is made here.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

logger = logging.getLogger("sampan.runtimes.torchserve")

_DESCRIBED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""The operators that torchvision describes whether or not they are there."""

_kept: list[Any] = []
"""The definitions: PyTorch forgets an operator when its library goes."""


def replace_operators(error: BaseException) -> bool:
    """Let torchvision be imported without its compiled operators, where that is what went wrong.

    Returns whether it was, and what failed can be tried again.
    """
    if _kept or not str(error).startswith("operator torchvision::"):
        return False
    import torch  # type: ignore[import-not-found]  # of the engine's environment

    library = torch.library.Library("torchvision", "DEF")
    for described in _DESCRIBED:
        library.define(described)
    library.impl("nms", select_boxes, "CPU")
    _kept.append(library)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    vision = importlib.import_module("torchvision")
    _take_python_ways()
    logger.warning(
        "torchvision %s is of another build than PyTorch %s: its compiled operators do not load, "
        "and Python does their work; install both from one index for speed",
        vision.__version__,
        torch.__version__,
    )
    return True


def _take_python_ways() -> None:
    """Let boxes be selected by what stands for `nms`, and regions be aligned without a compiler."""
    boxes: Any = importlib.import_module("torchvision.ops.boxes")
    boxes._assert_has_ops = lambda: None  # noqa: SLF001  # asked before nms alone
    align: Any = importlib.import_module("torchvision.ops.roi_align")
    way = align._roi_align  # noqa: SLF001  # its own way in Python, wrapped in torch.compile
    align._roi_align = getattr(way, "__wrapped__", way)  # noqa: SLF001  # as above


def select_boxes(boxes: Any, scores: Any, threshold: float) -> Any:
    """Return the indices of the boxes that no better one overlaps by more than `threshold`.

    Boxes are rows of x1, y1, x2, y2; the overlap is intersection over union; the best comes first
    (torchvision, `ops.nms`).
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order]
    low, high = ranked[:, :2], ranked[:, 2:]
    areas = (high - low).prod(dim=1)
    free = torch.ones(len(ranked), dtype=torch.bool, device=boxes.device)
    kept = []
    for best in range(len(ranked)):
        if not free[best]:
            continue
        kept.append(best)
        sides = torch.minimum(high[best], high) - torch.maximum(low[best], low)
        shared = sides.clamp(min=0).prod(dim=1)
        free &= shared / (areas[best] + areas - shared) <= threshold
    return order[torch.tensor(kept, dtype=torch.int64, device=boxes.device)]

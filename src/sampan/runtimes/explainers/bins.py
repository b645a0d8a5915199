"""A table's features in a few steps each, so that a condition on one can be said and sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.runtimes.explainers.anchor_search import Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Numbers = NDArray[np.int64]

FEW = 5
"""Up to so many different values a feature is a choice; beyond, it is cut at its quartiles."""


class Bins:
    """The background in steps: `names` of features, their `edges`, and the step of each value."""

    def __init__(self, names: list[str], background: Floats) -> None:
        import numpy as np

        self.names = names
        self._rows = background
        different = [np.unique(column) for column in background.T]
        self._chosen = [len(values) <= FEW for values in different]
        self._edges = [
            (values[:-1] + values[1:]) / 2
            if few
            else np.unique(np.quantile(column, (0.25, 0.5, 0.75)))
            for values, few, column in zip(different, self._chosen, background.T, strict=True)
        ]
        self._steps = np.stack([self.locate(row) for row in background])

    def locate(self, row: Floats) -> Numbers:
        """Return the step of each value of a row."""
        import numpy as np

        pairs = zip(self._edges, row, strict=True)
        return np.array([np.searchsorted(edges, value, "left") for edges, value in pairs])

    def coverage(self, place: Numbers, rule: Rule) -> float:
        """Return which share of the background is in the same steps as `place`."""
        features = sorted(rule)
        return float((self._steps[:, features] == place[features]).all(axis=1).mean())

    def sample(
        self, row: Floats, place: Numbers, rule: Rule, count: int, drawn: np.random.Generator
    ) -> Floats:
        """Return rows of the background in which the rule holds, whatever they were before.

        A feature of the rule gets values of the same step, or the row's own where the background
        has none.
        """
        made: Floats = self._rows[drawn.integers(0, len(self._rows), count)]
        for feature in sorted(rule):
            inside = self._rows[self._steps[:, feature] == place[feature], feature]
            made[:, feature] = drawn.choice(inside, count) if len(inside) else row[feature]
        return made

    def describe(self, feature: int, place: Numbers) -> str:
        """Return a condition in words: `age > 40.00`, `0.30 < width <= 1.30`, `sex = 1`."""
        import numpy as np

        name, edges, step = self.names[feature], self._edges[feature], int(place[feature])
        if self._chosen[feature]:
            return f"{name} = {np.unique(self._rows[:, feature])[step]:g}"
        below = f"{edges[step - 1]:.2f} < " if step else ""
        if step == len(edges):
            return f"{name} > {edges[-1]:.2f}"
        return f"{below}{name} <= {edges[step]:.2f}"

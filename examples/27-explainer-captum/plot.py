"""Draw an explanation: the image, and what each pixel gives to, or takes from, the answer.

python plot.py explain.json < explanation.json > explanation.svg
"""

import json
import sys
from pathlib import Path

CELL, GAP = 20, 30


def panel(rows, left, title, colour):
    """Return one image as squares, and its title below."""
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            at = f'x="{left + x * CELL}" y="{y * CELL}" width="{CELL}" height="{CELL}"'
            yield f'<rect {at} fill="{colour(value)}"/>'
    place = f'x="{left + len(rows[0]) * CELL / 2}" y="{len(rows) * CELL + 20}"'
    yield f'<text {place} text-anchor="middle" font-family="sans-serif">{title}</text>'


def grey(value):
    level = round(255 * (1 - value))
    return f"rgb({level},{level},{level})"


def share(value):
    """Red where a pixel speaks for the answer, blue where against it."""
    rest = round(255 * (1 - min(1, abs(value))))
    return f"rgb(255,{rest},{rest})" if value > 0 else f"rgb({rest},{rest},255)"


image = json.loads(Path(sys.argv[1]).read_text())["instances"][0]
told = json.load(sys.stdin)["explanations"]
label = told["targets"][0]
most = max(abs(value) for row in told["attributions"][0] for value in row) or 1
parts = [[value / most for value in row] for row in told["attributions"][0]]
width, height = len(image[0]) * CELL + GAP, len(image) * CELL + GAP
title = f"for and against {label} ({told['predictions'][0][label]:.0%})"
panels = [*panel(image, 0, "the image", grey), *panel(parts, width + GAP, title, share)]
size = f'width="{2 * width + 2 * GAP}" height="{height}"'
print(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', *panels, "</svg>", sep="\n")

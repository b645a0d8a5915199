"""Draw an explanation: the image that was sent, the one that was found, and what changed.

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


def change(value):
    """White where nothing changed, red where ink was added, blue where it was taken away."""
    rest = round(255 * (1 - min(1, 2 * abs(value))))
    return f"rgb(255,{rest},{rest})" if value > 0 else f"rgb({rest},{rest},255)"


image = json.loads(Path(sys.argv[1]).read_text())["instances"][0]
told = json.load(sys.stdin)["explanations"]
found = told["adversarial_example"]
changed = [[b - a for a, b in zip(*pair, strict=True)] for pair in zip(image, found, strict=True)]
width, height = len(image[0]) * CELL + GAP, len(image) * CELL + GAP
panels = [
    *panel(image, 0, f"taken for {told['prediction']}", grey),
    *panel(found, width, f"taken for {told['adversarial_prediction']}", grey),
    *panel(changed, 2 * width, f"distance {told['L2 error']:.2f}", change),
]
size = f'width="{3 * width - GAP}" height="{height}"'
print(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', *panels, "</svg>", sep="\n")

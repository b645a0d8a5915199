"""Draw an explanation: the image, and what its parts weigh for each of the likeliest labels.

python plot.py < explanation.json > explanation.svg
"""

import json
import sys

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


def weight(value):
    """Red where a part speaks for the label, blue where against it."""
    rest = round(255 * (1 - min(1, abs(value))))
    return f"rgb(255,{rest},{rest})" if value > 0 else f"rgb({rest},{rest},255)"


told = json.load(sys.stdin)["explanations"]
image, segments = told["temp"], told["segments"]
width, height = len(image[0]) * CELL + GAP, len(image) * CELL + GAP
panels = [*panel(image, 0, "the image", grey)]
for number, (label, weights) in enumerate(zip(told["top_labels"], told["weights"], strict=True)):
    most = max(map(abs, weights)) or 1
    parts = [[weights[part] / most for part in row] for row in segments]
    panels += panel(parts, (number + 1) * width, f"for and against {label}", weight)
size = f'width="{(len(told["weights"]) + 1) * width - GAP}" height="{height}"'
print(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', *panels, "</svg>", sep="\n")

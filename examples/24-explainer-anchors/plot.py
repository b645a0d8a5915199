"""Draw an explanation: the rule, how often it holds true, and how many rows keep it.

python plot.py < explanation.json > explanation.svg
"""

import html
import json
import sys

WIDTH, ROW, BAR = 520, 34, 300


def bar(top, name, share, colour):
    """Return a share as a bar."""
    yield f'<text x="110" y="{top + 18}" text-anchor="end">{name}</text>'
    for length, fill in ((BAR, "#eeeeee"), (share * BAR, colour)):
        yield f'<rect x="120" y="{top + 4}" width="{length:.1f}" height="18" fill="{fill}"/>'
    yield f'<text x="{130 + BAR}" y="{top + 18}">{share:.0%}</text>'


told = json.load(sys.stdin)["explanations"]
lines = []
for number, name in enumerate(told["names"]):
    top = number * ROW
    box = f'x="70" y="{top + 2}" width="{WIDTH - 140}" height="{ROW - 8}" rx="6"'
    word = "when" if not number else "and"
    lines += [
        f'<text x="58" y="{top + 20}" text-anchor="end">{word}</text>',
        f'<rect {box} fill="#dde9f5" stroke="#2c6fbb"/>',
        f'<text x="{WIDTH / 2}" y="{top + 20}" text-anchor="middle">{html.escape(name)}</text>',
    ]
top = len(told["names"]) * ROW
said = f"the model says {told['raw']['prediction']:g}"
lines.append(f'<text x="{WIDTH / 2}" y="{top + 24}" text-anchor="middle">{said}</text>')
lines += bar(top + 40, "precision", told["precision"], "#2c6fbb")
lines += bar(top + 70, "coverage", told["coverage"], "#c0392b")
size = f'width="{WIDTH}" height="{top + 104}"'
head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="14">'
print(head, *lines, "</svg>", sep="\n")

"""Draw an explanation: what each feature adds to, or takes from, what is said on the average.

python plot.py < explanation.json > explanation.svg
"""

import json
import sys

ROW, HALF, TEXT = 28, 220, 90

told = json.load(sys.stdin)["explanations"]
shares = sorted(
    zip(told["feature_names"], told["shap_values"][0], strict=True), key=lambda s: -abs(s[1])
)
most = max(abs(share) for _, share in shares) or 1
middle = TEXT + HALF
lines = []
for number, (name, share) in enumerate(shares):
    length, top = abs(share) / most * (HALF - 60), number * ROW
    left = middle if share > 0 else middle - length
    colour = "#c0392b" if share > 0 else "#2c6fbb"
    after = middle + length + 6 if share > 0 else middle - length - 6
    anchor = "start" if share > 0 else "end"
    bar = f'x="{left:.1f}" y="{top + 4}" width="{length:.1f}" height="{ROW - 8}"'
    lines += [
        f'<text x="{TEXT - 10}" y="{top + 19}" text-anchor="end">{name}</text>',
        f'<rect {bar} fill="{colour}"/>',
        f'<text x="{after:.1f}" y="{top + 19}" text-anchor="{anchor}">{share:+.1f}</text>',
    ]
said, base = told["predictions"][0], told["base_values"]
foot = f"{base:.1f} on the average, {said:.1f} here"
lines.append(f'<text x="{middle}" y="{len(shares) * ROW + 24}" text-anchor="middle">{foot}</text>')
size = f'width="{TEXT + 2 * HALF}" height="{(len(shares) + 1) * ROW + 10}"'
head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="14">'
print(head, *lines, "</svg>", sep="\n")

"""Draw an explanation: how often each group is favoured, and the measures of fairness.

python plot.py explain.json < explanation.json > explanation.svg
"""

import json
import sys
from pathlib import Path

WIDTH, BAR, HIGH = 480, 90, 200

told = json.load(sys.stdin)
rows = json.loads(Path(sys.argv[1]).read_text())["instances"]
pairs = list(zip(rows, told["predictions"], strict=True))
lines = []
for number, (age, name) in enumerate([(1, "over 25"), (0, "others")]):
    group = [said for row, said in pairs if row[0] == age]
    rate = sum(group) / len(group)
    left, top = 70 + number * 180, HIGH - rate * HIGH + 20
    box = f'x="{left}" y="{top:.1f}" width="{BAR}" height="{rate * HIGH:.1f}"'
    middle = left + BAR / 2
    lines += [
        f'<rect {box} fill="{"#2c6fbb" if age else "#c0392b"}"/>',
        f'<text x="{middle}" y="{top - 6:.1f}" text-anchor="middle">{rate:.0%}</text>',
        f'<text x="{middle}" y="{HIGH + 40}" text-anchor="middle">{name}</text>',
    ]
metrics = told["metrics"]
lines.append(f'<line x1="40" x2="{WIDTH - 80}" y1="{HIGH + 20}" y2="{HIGH + 20}" stroke="black"/>')
for number, text in enumerate([
    f"disparate impact {metrics['disparate_impact']:.2f} (1 is fair)",
    f"statistical parity difference {metrics['statistical_parity_difference']:.2f} (0 is fair)",
    f"consistency {metrics['consistency'][0]:.2f} (1: near people are treated alike)",
]):  # fmt: skip
    lines.append(f'<text x="40" y="{HIGH + 70 + number * 22}">{text}</text>')
size = f'width="{WIDTH}" height="{HIGH + 130}"'
head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="14">'
print(head, *lines, "</svg>", sep="\n")

"""A graph as lines and as a picture."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.router.graph_cases import enter, node

from sampan.router.outline import outline, render_svg, render_text

NODES = {
    "root": node(
        "Switch",
        enter("both", condition='a<"b"&&c'),
        {"serviceName": "svm", "name": "rest", "condition": "@this", "dependency": "Hard"},
    ),
    "both": node(
        "Sequence",
        {"serviceUrl": "http://x/y", "weight": 40},
        {"serviceName": "tree", "data": "$response", "mapPredictionsToInstances": True},
        enter("nowhere"),
    ),
}

TEXT = """\
flowers [Switch]
├─ 0 → both [Sequence] (if a<"b"&&c)
│  ├─ 0 → http://x/y (40%)
│  ├─ 1 → tree (given $response, predictions as instances)
│  └─ 2 → nowhere (not followed)
└─ rest → svm (if @this, hard)"""


def test_lines_are_a_tree() -> None:
    assert render_text(outline("flowers", NODES)) == TEXT


def test_a_circle_is_named_and_not_followed() -> None:
    nodes = {"root": node("Switch", enter("root"))}
    assert render_text(outline("g", nodes)) == "g [Switch]\n└─ 0 → root (not followed)"


def test_a_picture_is_sound_and_says_the_same() -> None:
    picture = ET.fromstring(render_svg(outline("flowers", NODES)))  # noqa: S314  # our own
    texts = [t.text for t in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [line.lstrip("│├└─ ") for line in TEXT.splitlines()]
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}path"))) == len(texts) - 1

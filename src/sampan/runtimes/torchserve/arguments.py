"""torchserve's command line in our arguments. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sampan.runtimes.serving import Translated

_PLAIN = {"--model-store": "--model_dir", "--workflow-store": ""}
_OPTIONS = frozenset({"--ts-config", "--models"})
_NOTHING = frozenset(
    {
        "torchserve", "--start", "--foreground", "--ncs", "--no-config-snapshots",
        "--disable-token-auth", "--disable-token",
    }
)  # fmt: skip


def translate(argv: Sequence[str]) -> Translated:
    """Return the arguments that say the same here."""
    made: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name in _NOTHING:
            continue
        if name == "--enable-model-api":
            made.append("--server_option=enable-model-api=true")
            continue
        if name in _PLAIN or name in _OPTIONS:
            value = value if equals else next(words, "")
            if name in _OPTIONS:
                made.append(f"--server_option={name[2:]}={value}")
            elif _PLAIN[name]:
                made.append(f"{_PLAIN[name]}={value}")
        else:
            made.append(word)
    return Translated(tuple(made))

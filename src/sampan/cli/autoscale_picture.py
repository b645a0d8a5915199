"""Replicas over time as a picture (PNG), by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sampan.autoscaler.simulate import Moment
from sampan.cli.output import SYSTEM, CliError


def write_picture(path: Path, moments: Sequence[Moment], unit: str, title: str) -> None:
    """Write the picture: the load above, the replicas below; raise CliError."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise CliError(
            'a picture needs "matplotlib", which is not installed; install it with '
            'pip install "sampan[plot]", or leave out --png for a chart in the terminal',
            SYSTEM,
        ) from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import MaxNLocator

    seconds = [m.second for m in moments]
    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(10, 6), layout="constrained", height_ratios=(1, 2)
    )
    above.fill_between(seconds, [m.load for m in moments], step="post", alpha=0.35, color="#336699")
    above.step(seconds, [m.load for m in moments], where="post", color="#336699")
    above.set_ylabel(unit)
    above.set_ylim(bottom=0)
    above.set_title(title)
    below.fill_between(
        seconds, [m.ready for m in moments], step="post", alpha=0.35, color="#2e8b57"
    )
    below.step(seconds, [m.wanted for m in moments], where="post", color="#b22222", label="wanted")
    below.step(seconds, [m.ready for m in moments], where="post", color="#2e8b57", label="serving")
    below.set_ylabel("replicas")
    below.set_xlabel("seconds")
    below.set_ylim(bottom=0)
    below.yaxis.set_major_locator(MaxNLocator(integer=True))
    below.legend(loc="upper right")
    try:
        figure.savefig(path, format="png", dpi=110)
    except OSError as error:
        raise CliError(f'"{path}" cannot be written: {error.strerror or error}') from None
    finally:
        plt.close(figure)

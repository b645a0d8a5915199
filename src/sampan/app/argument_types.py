"""What an argument of the agent may be; a mistake names the value and what it should be."""

from __future__ import annotations

import argparse


def boolean(text: str) -> bool:
    """Read a switch. KServe's webhook writes `--switch false`, which Go's flags take for true."""
    known = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f'"{text}" is neither true nor false')
    return known[text.lower()]


def positive(text: str) -> int:
    """Read a number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is no number from 1 on')
    return number


def port(text: str) -> int:
    """Read a port; 0 is a free one."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is no port; use 0 to 65535')
    return number

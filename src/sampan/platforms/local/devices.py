"""GPUs of this machine, and who has which: reserved by `resources.limits`, told by a variable.

A replica that asks for devices gets its own, named in the variable that its vendor's libraries read
(`CUDA_VISIBLE_DEVICES`). One that asks for none sees those that nobody has reserved. A machine
without a device of the kind serves without: the model's engine then uses the processor, and a
warning says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan.machinery.quantity import QuantityError, parse_quantity

NVIDIA = "nvidia.com/gpu"
AMD = "amd.com/gpu"
VARIABLES: Mapping[str, str] = {NVIDIA: "CUDA_VISIBLE_DEVICES", AMD: "ROCR_VISIBLE_DEVICES"}
"""The variable that hides devices, by the name of the resource."""

INSUFFICIENT = "InsufficientDevices"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Devices of one kind that a replica has, by their names for the variable."""

    kind: str
    devices: tuple[str, ...]


class DevicesTaken(Exception):
    """Too few devices are free; the message tells who has them, and what would mend it."""


def count_wanted(template: Mapping[str, Any]) -> dict[str, int]:
    """Return how many devices of each kind the containers of a pod template ask for together.

    Only limits count, as for Kubernetes's extended resources. DevicesTaken where an amount is no
    whole number: a cluster makes no pod of that either ("must be an integer").
    """
    wanted: dict[str, int] = {}
    for container in (template.get("spec") or {}).get("containers") or ():
        limits = (container.get("resources") or {}).get("limits") or {}
        for kind in VARIABLES:
            amount = _count(kind, limits.get(kind, 0))
            if amount:
                wanted[kind] = wanted.get(kind, 0) + amount
    return wanted


def _count(kind: str, amount: Any) -> int:
    """Return how many devices a quantity is: "2", 2 and "2000m" are two."""
    try:
        value = parse_quantity(amount).value
    except QuantityError:
        value = None
    if value is None or value != int(value) or value < 0:
        raise DevicesTaken(
            f'resources.limits "{kind}" is "{amount}"; a device is held whole: give a whole number'
        )
    return int(value)


def select_devices(
    wanted: Mapping[str, int],
    here: Mapping[str, Sequence[str]],
    held: Mapping[str, Sequence[Reservation]],
) -> tuple[Reservation, ...]:
    """Return the devices for a replica; DevicesTaken where too few are free.

    `here` are the machine's devices by kind, `held` what each other replica has. A kind of which
    the machine has none is left out.
    """
    chosen = []
    for kind, count in wanted.items():
        devices = here.get(kind, ())
        if not devices:
            continue
        holders = {d: name for name, all_of in held.items() for d in _of(kind, all_of)}
        free = [device for device in devices if device not in holders]
        if len(free) < count:
            raise DevicesTaken(_tell_taken(kind, count, devices, holders))
        chosen.append(Reservation(kind, tuple(free[:count])))
    return tuple(chosen)


def make_variables(
    own: Iterable[Reservation],
    here: Mapping[str, Sequence[str]],
    held: Mapping[str, Sequence[Reservation]],
) -> dict[str, str]:
    """Return the variables of a replica: its own devices, else those that nobody has reserved."""
    reserved = {reservation.kind: reservation.devices for reservation in own}
    made = {}
    for kind, devices in here.items():
        taken = {d for all_of in held.values() for d in _of(kind, all_of)}
        seen = reserved.get(kind) or [d for d in devices if d not in taken]
        made[VARIABLES[kind]] = ",".join(seen)
    return made


def gather_devices(environ: Mapping[str, str], root: Path = Path("/dev")) -> dict[str, list[str]]:
    """Return this machine's devices by kind; the variables of whoever starts us narrow them."""
    found = {
        NVIDIA: _numbers(root.glob("nvidia*"), r"nvidia(\d+)"),
        AMD: _numbers(root.glob("dri/renderD*"), r"renderD(\d+)")
        if (root / "kfd").exists()
        else [],
    }
    # ROCm counts its devices from 0, whatever their files are called.
    found[AMD] = [str(number) for number in range(len(found[AMD]))]
    for kind, variable in VARIABLES.items():
        if variable in environ:
            named = [name.strip() for name in environ[variable].split(",")]
            found[kind] = [name for name in named if name and name != "-1"] if found[kind] else []
    return {kind: devices for kind, devices in found.items() if devices}


def _numbers(paths: Iterable[Path], pattern: str) -> list[str]:
    matches = (re.fullmatch(pattern, path.name) for path in paths)
    return [str(number) for number in sorted(int(match[1]) for match in matches if match)]


def _of(kind: str, reservations: Iterable[Reservation]) -> tuple[str, ...]:
    return tuple(d for r in reservations if r.kind == kind for d in r.devices)


def _tell_taken(kind: str, count: int, devices: Sequence[str], holders: Mapping[str, str]) -> str:
    if count > len(devices):
        return (
            f'{count} of "{kind}" are asked for, and this machine has {len(devices)}; lower '
            "resources.limits"
        )
    taken = ", ".join(f'"{d}" by replica "{holders[d]}"' for d in devices if d in holders)
    free = len(devices) - sum(device in holders for device in devices)
    return (
        f'{count} of "{kind}" are asked for, and {free} of {len(devices)} are free ({taken}); '
        "stop or scale down what holds them, or where the replica before this one does, set "
        'deploymentStrategy.type to "Recreate"'
    )

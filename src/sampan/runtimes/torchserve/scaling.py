"""How many workers of a handler are asked for: there is one a process. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from sampan.protocol.errors import InvalidInput

_PARAMETERS = ("min_worker", "max_worker", "number_gpu")


def validate_workers(numbers: Mapping[str, int]) -> None:
    """Raise InvalidInput where one worker is not what is asked for (TorchServe, "Scale workers").

    `max_worker` is `min_worker` where it is not said.
    """
    lowest = numbers.get("min_worker", 1)
    highest = numbers.get("max_worker", lowest)
    if highest < lowest:
        raise InvalidInput(
            f"max_worker is {highest} and min_worker {lowest}; max_worker cannot be less than "
            "min_worker"
        )
    if lowest > 1:
        raise InvalidInput(
            f"min_worker is {lowest}; a handler has one worker in a process here: have more "
            "processes by minReplicas of the service"
        )
    if highest < 1:
        raise InvalidInput(
            f"max_worker is {highest}; a handler without a worker answers nobody: unregister the "
            "model, or stop the service"
        )
    if numbers.get("number_gpu"):
        raise InvalidInput(
            f"number_gpu is {numbers['number_gpu']}; a process has the devices that its service "
            "was given: ask for them by resources.limits"
        )


def validate_initial(workers: int) -> None:
    """Raise InvalidInput where a registration asks for several (TorchServe, "Register a model").

    Zero is no mistake: TorchServe's clients register so, and scale after.
    """
    if workers > 1:
        raise InvalidInput(
            f"initial_workers is {workers}; a handler has one worker in a process here: leave it "
            "out, and have more processes by minReplicas of the service"
        )


def select_parameters(given: Mapping[str, str]) -> dict[str, str]:
    """Return those of a query that make the bounds."""
    return {name: given[name] for name in _PARAMETERS if name in given}

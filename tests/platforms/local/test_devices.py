"""Who gets which GPU of a machine."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.platforms.local.devices import (
    AMD,
    NVIDIA,
    DevicesTaken,
    Reservation,
    count_wanted,
    gather_devices,
    make_variables,
    select_devices,
)

TWO = {NVIDIA: ["0", "1"]}


def holding(*devices: str) -> tuple[Reservation, ...]:
    return (Reservation(NVIDIA, devices),)


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        pytest.param([{"cpu": "1"}], {}, id="no device"),
        pytest.param([{NVIDIA: 1}], {NVIDIA: 1}, id="a number"),
        pytest.param([{NVIDIA: "2", "cpu": 1}], {NVIDIA: 2}, id="a text"),
        pytest.param([{NVIDIA: "1"}, {NVIDIA: "1", AMD: "1"}], {NVIDIA: 2, AMD: 1}, id="several"),
        pytest.param([{NVIDIA: "0"}], {}, id="none, said aloud"),
        pytest.param([{NVIDIA: "2000m"}], {NVIDIA: 2}, id="in thousandths, as kubectl writes them"),
        pytest.param([{"example.com/fpga": "1"}], {}, id="a kind that is not told apart here"),
    ],
)
def test_what_the_containers_ask_for_is_added_up(limits, wanted):
    containers = [{"resources": {"limits": one}} for one in limits]
    assert count_wanted({"spec": {"containers": containers}}) == wanted


@pytest.mark.parametrize("amount", ["0.5", 0.5, "500m", "-1", "one"])
def test_a_part_of_a_device_is_refused_with_its_value(amount):
    limits = {"resources": {"limits": {NVIDIA: amount}}}
    with pytest.raises(DevicesTaken, match=f'"nvidia.com/gpu" is "{amount}".* a whole number'):
        count_wanted({"spec": {"containers": [limits]}})


@pytest.mark.parametrize(
    ("wanted", "here", "held", "got"),
    [
        pytest.param(1, TWO, {}, ("0",), id="the first that is free"),
        pytest.param(1, TWO, {"a": holding("0")}, ("1",), id="not one that is held"),
        pytest.param(2, TWO, {}, ("0", "1"), id="all of them"),
        pytest.param(1, TWO, {"a": (Reservation(AMD, ("0",)),)}, ("0",), id="another kind's 0"),
    ],
)
def test_a_replica_gets(wanted, here, held, got):
    assert select_devices({NVIDIA: wanted}, here, held) == (Reservation(NVIDIA, got),)


def test_a_machine_without_the_kind_serves_without():
    assert select_devices({NVIDIA: 1}, {}, {}) == ()


@pytest.mark.parametrize(
    ("wanted", "held", "told"),
    [
        pytest.param(
            1, {"a": holding("0"), "b": holding("1")},
            '1 of "nvidia.com/gpu" are asked for, and 0 of 2 are free ("0" by replica "a", "1" by '
            'replica "b"); stop or scale down', id="all are held",
        ),
        pytest.param(2, {"a": holding("1")}, '1 of 2 are free ("1" by replica "a")', id="too few"),
        pytest.param(3, {}, "this machine has 2; lower resources.limits", id="more than there are"),
    ],
)  # fmt: skip
def test_over_subscription_tells_who_holds_the_devices(wanted, held, told):
    with pytest.raises(DevicesTaken) as caught:
        select_devices({NVIDIA: wanted}, TWO, held)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("own", "held", "variables"),
    [
        pytest.param(holding("1"), {}, {"CUDA_VISIBLE_DEVICES": "1"}, id="its own"),
        pytest.param((), {}, {"CUDA_VISIBLE_DEVICES": "0,1"}, id="all, where none is reserved"),
        pytest.param(
            (), {"a": holding("0")}, {"CUDA_VISIBLE_DEVICES": "1"}, id="what nobody reserved"
        ),
        pytest.param(
            (), {"a": holding("0", "1")}, {"CUDA_VISIBLE_DEVICES": ""}, id="none that is held"
        ),
    ],
)
def test_a_replica_sees(own, held, variables):
    assert make_variables(own, TWO, held) == variables


def test_devices_are_found_by_their_files(tmp_path):
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "kfd"):
        (tmp_path / name).touch()
    (tmp_path / "dri").mkdir()
    (tmp_path / "dri" / "renderD128").touch()
    assert gather_devices({}, tmp_path) == {NVIDIA: ["0", "2", "10"], AMD: ["0"]}
    narrowed = gather_devices({"CUDA_VISIBLE_DEVICES": "GPU-5, 1"}, tmp_path)
    assert narrowed[NVIDIA] == ["GPU-5", "1"]
    assert NVIDIA not in gather_devices({"CUDA_VISIBLE_DEVICES": "-1"}, tmp_path)
    assert gather_devices({"CUDA_VISIBLE_DEVICES": "0"}, tmp_path / "none") == {}


@given(
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_no_device_is_ever_held_twice(machine, asked):
    here = {NVIDIA: [str(number) for number in range(machine)]}
    held: dict[str, tuple[Reservation, ...]] = {}
    for number, (wanted, leaves) in enumerate(asked):
        try:
            held[f"r{number}"] = select_devices({NVIDIA: wanted} if wanted else {}, here, held)
        except DevicesTaken:
            continue
        taken = [d for own in held.values() for one in own for d in one.devices]
        assert len(taken) == len(set(taken))
        assert set(taken) <= set(here[NVIDIA])
        assert visible(here, held, f"r{number}").isdisjoint(
            d for name, own in held.items() if name != f"r{number}" for o in own for d in o.devices
        )
        if leaves:
            del held[f"r{number}"]


def visible(
    here: Mapping[str, list[str]], held: dict[str, tuple[Reservation, ...]], name: str
) -> set[str]:
    others = {other: own for other, own in held.items() if other != name}
    text = make_variables(held[name], here, others).get("CUDA_VISIBLE_DEVICES", "")
    return set(filter(None, text.split(",")))

"""A container that names its image's own program runs what stands for the image."""

from __future__ import annotations

import pytest

from sampan.platforms.local.entrypoint import drop_own_programs
from sampan.platforms.local.images import make_image_table

TABLE = make_image_table(
    {"images": [{"image": "tf/serving", "argv": ["{python}"], "programs": ["/usr/bin/server"]}]},
    "test",
)


def template(**container):
    return {"spec": {"containers": [{"name": "kserve-container", **container}]}}


def test_the_images_own_program_is_left_to_what_stands_for_the_image():
    given = template(image="docker.io/tf/serving:2.6.2", command=["/usr/bin/server"], args=["--a"])
    made = drop_own_programs(given, TABLE)
    assert made == template(image="docker.io/tf/serving:2.6.2", args=["--a"])
    assert given["spec"]["containers"][0]["command"] == ["/usr/bin/server"], (
        "the plan is not changed"
    )


def test_what_follows_the_program_comes_before_the_arguments():
    given = template(image="tf/serving", command=["/usr/bin/server", "--first"], args=["--a"])
    assert drop_own_programs(given, TABLE) == template(image="tf/serving", args=["--first", "--a"])


@pytest.mark.parametrize(
    "container",
    [
        pytest.param({"image": "tf/serving", "command": ["bash", "-c", "server"]}, id="a shell"),
        pytest.param({"image": "other", "command": ["/usr/bin/server"]}, id="another image"),
        pytest.param({"image": "tf/serving", "args": ["--a"]}, id="no command"),
        pytest.param({"command": ["/usr/bin/server"]}, id="no image"),
    ],
)
def test_any_other_container_stays_as_it_is(container):
    given = template(**container)
    assert drop_own_programs(given, TABLE) is given

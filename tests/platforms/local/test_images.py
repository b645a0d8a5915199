"""Which image runs as which local command, and which version its tag asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sampan.platforms.local.image_table import read_image_table
from sampan.platforms.local.images import (
    ImageReference,
    ImageTableError,
    LocalCommand,
    make_image_table,
    make_requirements,
    parse_image,
)

TABLE = make_image_table(
    {
        "images": [
            {
                "image": "kserve/sklearnserver",
                "argv": ["{python}", "-m", "server"],
                "requirements": ["numpy>=1.26", "scikit-learn>=1.4,<2"],
                "package": "scikit-learn",
            }
        ]
    },
    "test",
)
SKLEARN = TABLE.commands[0]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("kserve/sklearnserver", ImageReference("kserve/sklearnserver")),
        ("kserve/sklearnserver:v0.15", ImageReference("kserve/sklearnserver", "v0.15")),
        ("reg:5000/a/b", ImageReference("reg:5000/a/b")),
        ("reg:5000/a/b:1@sha256:ab", ImageReference("reg:5000/a/b", "1", "sha256:ab")),
        ("a/b@sha256:ab", ImageReference("a/b", "", "sha256:ab")),
    ],
)
def test_an_image_name_has_parts(image, expected):
    assert parse_image(image) == expected


@pytest.mark.parametrize(
    "image",
    [
        "kserve/sklearnserver",
        "kserve/sklearnserver:latest",
        "docker.io/kserve/sklearnserver:v0.15.0",
        "reg.local:5000/mirror/kserve/sklearnserver@sha256:0123",
    ],
)
def test_registry_tag_and_digest_do_not_matter(image):
    assert TABLE.find(image) is SKLEARN


@pytest.mark.parametrize("image", ["kserve/xgbserver", "mykserve/sklearnserver", "sklearnserver"])
def test_other_repositories_are_not_known(image):
    assert TABLE.find(image) is None


@pytest.mark.parametrize(
    ("tag", "requirement"),
    [
        ("", "scikit-learn>=1.4,<2"),
        (":latest", "scikit-learn>=1.4,<2"),
        (":v0.15.0", "scikit-learn>=1.4,<2"),
        (":1.5.2", "scikit-learn==1.5.2"),
        (":1.5", "scikit-learn==1.5"),
    ],
)
def test_a_bare_version_as_tag_pins_the_framework(tag, requirement):
    found, problem = make_requirements(SKLEARN, f"kserve/sklearnserver{tag}")
    assert found == ("numpy>=1.26", requirement)
    assert problem == ""


def test_a_pinned_framework_keeps_its_extras():
    command = replace(SKLEARN, requirements=("scikit-learn[plots,tests]>=1.4",))
    assert make_requirements(command, "kserve/sklearnserver:1.5.2") == (
        ("scikit-learn[plots,tests]==1.5.2",),
        "",
    )


@pytest.mark.parametrize("version", ["1.3.2", "0.24.1", "2.0.0"])
def test_a_version_outside_what_the_runtime_can_do_is_a_problem_that_names_it(version):
    found, problem = make_requirements(SKLEARN, f"kserve/sklearnserver:{version}")
    assert found == SKLEARN.requirements
    assert f'"{version}"' in problem
    assert '"scikit-learn>=1.4,<2"' in problem


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], 'a list "images" is needed'),
        ({"images": "x"}, 'a list "images" is needed'),
        ({"images": ["x"]}, "images[0]: an object"),
        ({"images": [{"image": "a"}]}, "images[0]: image (a string) and argv"),
        ({"images": [{"image": "a", "argv": "run"}]}, "images[0].argv: a list of strings"),
        ({"images": [{"image": "a", "argv": ["x"], "port": 1}]}, 'unknown field "port"'),
    ],
)
def test_a_wrong_table_names_file_entry_and_field(document, said):
    with pytest.raises(ImageTableError) as caught:
        make_image_table(document, "images.yaml")
    assert "images.yaml" in str(caught.value)
    assert said in str(caught.value)


def test_the_users_entry_comes_before_the_shipped_one(tmp_path):
    file = tmp_path / "images.yaml"
    file.write_text("images:\n- image: kserve/sklearnserver\n  argv: [mine]\n")
    assert read_image_table(file)().find("kserve/sklearnserver:latest").argv == ("mine",)


def test_an_edit_of_the_users_table_counts_at_once_and_a_broken_one_not_at_all(tmp_path):
    file = tmp_path / "images.yaml"
    table = read_image_table(file)
    assert table().find("team/model") is None
    file.write_text("images:\n- image: team/model\n  argv: [serve]\n")
    assert table().find("team/model:3") == LocalCommand("team/model", ("serve",))
    file.write_text("images: [broken")
    assert table().find("team/model") is not None
    file.unlink()
    assert table().find("team/model") is None


def test_a_table_that_is_broken_at_the_start_is_refused(tmp_path):
    file = tmp_path / "images.yaml"
    file.write_text("images: [broken")
    with pytest.raises(ImageTableError, match=r"images\.yaml"):
        read_image_table(file)


def test_the_shipped_table_knows_the_runtime_of_scikit_learn(tmp_path):
    command = read_image_table(tmp_path / "none")().find("kserve/sklearnserver:latest")
    assert command is not None
    assert command.entry
    assert command.health_path

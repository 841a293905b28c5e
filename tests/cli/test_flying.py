"""The flywheel's verbs, each call in a process of its own."""

import pytest

from tests.cli.forked import Forked
from tests.flywheel.small import TOML


@pytest.fixture(scope="module")
def headrace():
    forked = Forked()
    yield lambda *words, cwd: forked(*map(str, words), cwd=cwd)
    forked.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("flying")
    (found / "shop.toml").write_text(TOML)
    (found / "world").mkdir()  # a folder of that name is no plan
    return found


def test_fly_then_look_promote_and_roll_back(folder, headrace):
    ran = headrace("fly", "shop.toml", "--generations", 2, cwd=folder)
    assert ran.code == 0, ran.said
    assert "the first: there was nothing to compare it with" in ran.said
    assert (folder / "runs/fly-shop/flywheel.html").read_text().startswith("<!doctype html>")
    listed = headrace("generations", "runs/fly-shop", cwd=folder).said
    assert "live" in listed
    headrace("promote", "runs/fly-shop", 1, cwd=folder)
    moved = headrace("promote", "runs/fly-shop", 2, "--why", "by hand", cwd=folder)
    assert "Live: generation 2" in moved.said
    back = headrace("rollback", "runs/fly-shop", cwd=folder)
    assert "Live again: generation 1" in back.said
    page = headrace("recommend", "runs/fly-shop", "u0001", cwd=folder)
    assert page.code == 0, page.said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("fly", "shop.toml", "--generations", 2, "--drill", 1), "a drill is one of 2 to 2"),
        (("fly", "shopp.toml"), 'Did you mean "shop.toml"'),
        (("generations", "runs/none"), "it has no generations"),
        (("rollback", "runs/none"), "no generation is live"),
        (("promote", "runs/none", 3), "there is no generation 3"),
    ],
)
def test_a_mistake_is_a_line_and_no_traceback(folder, headrace, words, says):
    ran = headrace(*words, cwd=folder)
    assert ran.code == 2
    assert says in ran.said.replace("\n", " ")
    assert "Traceback" not in ran.said

"""Ray for real where it is installed; what stands around it is tested without."""

import re
from importlib.util import find_spec
from typing import Any

import polars as pl
import pytest

from headrace.contracts.chat import BudgetReached
from headrace.contracts.errors import HeadraceError, MissingExtra
from headrace.llm.annotation.rays import Keeper, Kept, Workers, cluster
from headrace.llm.annotation.running import annotate
from headrace.llm.cache import AnswerCache
from tests.llm.annotation.some_plan import plan, reviews
from tests.llm.chat_server import completion, serving

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed; pip install 'headrace[ray]'")
ROWS = 30
ANSWERED = 10  # tokens of an answer of the test's server, prompt and completion


def topic(body):
    row = int(re.findall(r"cup (\d+)", "\n".join(message["content"] for message in body["messages"]))[0])
    return completion("Hm." if row == 7 else f'{{"topic": "{("price", "taste")[row % 2]}", "mood": {row / 100}}}')


def of(folder, server, name="topics", **sections):
    settings = {"server": {"base_url": server.url, "model": "m", "concurrency": 4}}
    return plan(folder, model=settings, out=f"{name}.parquet", ray={"workers": 2, "cpus": 0.5}, **sections)


@pytest.fixture(scope="module")
def ray(tmp_path_factory):
    """One start for all tests."""
    folder = tmp_path_factory.mktemp("ray")
    reviews(folder)
    with cluster(plan(folder, ray={"workers": 2})):
        yield


@needs_ray
@pytest.mark.filterwarnings("default")
def test_the_file_is_the_same_bytes_as_without(ray, tmp_path):
    reviews(tmp_path, ROWS)
    with serving(topic) as server:
        annotate(of(tmp_path, server, "here"))
        alone = len(server.asked)
        summary = annotate(of(tmp_path, server, "there"), pool=Workers)
        assert len(server.asked) == 2 * alone == 2 * (ROWS + 1)
        assert server.most_at_once <= 4, "the workers share what the plan's server bears"
    assert (tmp_path / "there.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
    assert summary["unparsed"] == 1
    assert summary["spent"]["calls"] == ROWS + 1


@needs_ray
@pytest.mark.filterwarnings("default")
def test_a_budget_holds_over_all_workers_and_what_is_done_is_kept(ray, tmp_path):
    reviews(tmp_path, ROWS)
    with serving(topic) as server:
        with pytest.raises(BudgetReached, match="answers kept"):
            annotate(of(tmp_path, server, limits={"max_calls": 17}), pool=Workers)
        assert len(server.asked) == 17, "neither more, nor fewer because a worker sat on its part"
        summary = annotate(of(tmp_path, server, limits={"max_calls": ROWS + 1}), pool=Workers)
        assert len(server.asked) == ROWS + 1, "none of them is asked again"
    assert summary["parsed"] == ROWS - 1
    assert len(pl.read_parquet(tmp_path / "topics.parquet")) == ROWS


@needs_ray
@pytest.mark.filterwarnings("default")
def test_a_worker_that_dies_is_said_and_what_it_had_is_kept(ray, tmp_path):
    import ray as ray_itself

    reviews(tmp_path, ROWS)
    pools = list[Workers]()

    def pool(job):
        pools.append(Workers(job))
        return pools[0]

    def dies(body):
        if "cup 0009" in body["messages"][-1]["content"]:
            for worker in (*pools[0]._free, *pools[0]._out.values()):
                ray_itself.kill(worker)
        return topic(body)

    with serving(dies) as server:
        with pytest.raises(HeadraceError, match="A Ray worker was lost: .* the same command goes on"):
            annotate(of(tmp_path, server), pool=pool)
        asked = len(server.asked)
        assert annotate(of(tmp_path, server))["rows"] == ROWS
        assert len(server.asked) <= ROWS + 1 + 4, f"{asked} were asked before"


@needs_ray
@pytest.mark.filterwarnings("default")
def test_what_a_worker_meets_is_said_as_it_would_be_here(ray, tmp_path):
    reviews(tmp_path, ROWS)
    refuses: Any = (401, {}, b'{"error": {"message": "no such key"}}')
    with serving(lambda _: refuses) as server, pytest.raises(HeadraceError, match="status 401: no such key") as said:
        annotate(of(tmp_path, server), pool=Workers)
    assert "Traceback" not in str(said.value)


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_it_is_said_what_to_install(tmp_path):
    reviews(tmp_path)
    with pytest.raises(MissingExtra, match=r"--ray needs ray.*pip install 'headrace\[ray\]'"), cluster(plan(tmp_path)):
        pass


def test_the_keeper_writes_each_answer_before_it_says_so(tmp_path):
    path, waited = tmp_path / "answers.sqlite", list[Any]()
    keeper = Keeper(path, durable=False)

    def wait(said):
        waited.append(said)
        return said

    kept = Kept(keeper.get_many, keeper.put, wait)
    kept.put(b"k" * 32, {"text": "a"})
    with AnswerCache(path) as other:
        assert other.get_many([b"k" * 32]) == {b"k" * 32: {"text": "a"}}
    assert kept.get_many(iter([b"k" * 32, b"n" * 32])) == {b"k" * 32: {"text": "a"}}
    assert len(waited) == 2, "both were waited for"

"""An explanation says in which words the ranker read the user: eager or through ONNX Runtime, and of who consents alone."""

import pytest

from headrace.cascade.run import planned
from headrace.contracts.serving import ServeConfig
from headrace.serve.explain import explain
from headrace.serve.service import Service
from tests.cascade.shop import write_shop
from tests.cascade.summarised_ranker import RANK
from tests.cascade.test_reads_as import summary_of


@pytest.fixture(scope="module")
def summarised(tmp_path_factory):
    toml = write_shop(tmp_path_factory.mktemp("reads_as"))
    toml.write_text(toml.read_text() + RANK)
    pipeline = planned(toml, toml.parent / "run")
    _ = pipeline.generation
    return pipeline


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_it_says_in_which_words_the_user_was_read(summarised, tmp_path, runtime):
    service = Service(summarised, tmp_path, ServeConfig(runtime=runtime))
    service.recommend("c1", "r1")
    found = explain(service, "r1")
    assert found is not None
    assert found.reads_as == f"{summary_of(summarised, 'c1')} of 14 events"
    service.close()


def test_who_does_not_consent_is_told_no_words(summarised, tmp_path, monkeypatch):
    service = Service(summarised, tmp_path, ServeConfig(runtime="torch"))
    monkeypatch.setattr(service.impersonal, "holds", lambda user, at_us: user == "c1")
    for number, user in enumerate(("c1", "c2")):
        service.recommend(user, f"r{number}")
    refused, told = explain(service, "r0"), explain(service, "r1")
    assert refused is not None
    assert told is not None
    assert (refused.reads_as, told.reads_as) == ("", f"{summary_of(summarised, 'c2')} of 14 events")
    assert any("consent_personalise" in rule for rule in refused.rules)
    service.close()


def test_a_ranker_that_reads_no_words_leaves_it_empty(service):
    service.recommend("c1", "r1")
    found = explain(service, "r1")
    assert found is not None
    assert found.reads_as == ""

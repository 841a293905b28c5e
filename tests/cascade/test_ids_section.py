"""What [ids] takes, and what a plan says that has codes to make and nothing to make them of."""

from pathlib import Path
from typing import Any

import pytest

from headrace.cascade.plan import Plan, plan_from
from headrace.contracts.errors import ConfigError

READS = "tests.cascade.reads_codes:ReadsCodes"


def plan(**sections: Any) -> Plan:
    return plan_from({"data": {"events": "events.csv"}, **sections}, where="shop.toml", folder=Path())


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ({"method": "residual_kmean"}, r'\[ids\]: "residual_kmean" is not known here. Did you mean "residual_kmeans"\?'),
        ({"level": 4}, r'\[ids\]: "level" is not a key. Did you mean "levels"\? Keys: method, levels, codes'),
        ({"codes": 1}, r'\[ids\]: "codes" is 1: input should be greater than 1'),
        ({"residual_kmean": {}}, r'\[ids.residual_kmean\] is not a method. Did you mean "residual_kmeans"\?'),
        ({"residual_kmeans": {"levels": 3}}, r"\[ids.residual_kmeans\]: levels stands in \[ids\]"),
        ({"residual_kmeans": {"pass": 3}}, r'\[ids.residual_kmeans\]: "pass" is not a key'),
    ],
)
def test_a_mistake_is_named(ids: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"shop.toml.*{says}"):
        plan(ids=ids)


def test_levels_and_codes_reach_the_method() -> None:
    made = plan(ids={"levels": 2, "codes": 16})
    assert made.of("ids", "residual_kmeans") == {"levels": 2, "codes": 16}


def test_a_retriever_that_reads_texts_asks_for_vectors_before_anything_is_read() -> None:
    with pytest.raises(
        ConfigError, match=rf'\[retrieve.{READS}\]: {READS} needs vectors.*Set \[features\] item_vectors = "tfidf"'
    ):
        plan(retrieve={"use": ["popularity", READS]})
    assert plan(retrieve={"use": [READS]}, features={"item_vectors": "tfidf"}).needs_of(READS) == {"semantic_ids", "item_vectors"}

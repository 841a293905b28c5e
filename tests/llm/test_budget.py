import pytest

from headrace.contracts.chat import Usage
from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.llm.budget import Budget, Limits, Prices


def test_prices_are_per_million_tokens():
    assert Prices(prompt=0.5, completion=2.0).cost(1_000_000, 500_000) == 1.5


def test_what_fits_exactly_fits():
    budget = Budget(Limits(max_tokens=100, max_calls=2, max_cost=1.0))
    worst = Usage(calls=2, prompt_tokens=60, completion_tokens=40, cost=1.0)
    assert budget.refusal(worst) == ""
    budget.spend(Usage(calls=1, prompt_tokens=1))
    assert budget.refusal(worst) != ""


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(max_calls=3), "calls: the next call may take 4, and of 3 there are 3 left"),
        (Limits(max_tokens=1000), "tokens: the next call may take 1,100, and of 1,000 there are 1,000 left"),
        (Limits(max_cost=0.25), "cost: the next call may take 0.5, and of 0.25 there are 0.25 left"),
    ],
)
def test_a_refusal_says_which_limit(limits, said):
    assert Budget(limits).refusal(Usage(calls=4, prompt_tokens=1000, completion_tokens=100, cost=0.5)) == said


def test_without_limits_everything_fits():
    assert Budget(Limits()).refusal(Usage(10**9, 0, 10**12, 10**12, cost=1e9)) == ""


def test_a_key_mistyped_in_a_file_is_named():
    with pytest.raises(ConfigError, match='Did you mean "max_cost"'):
        parse(Limits, {"max_costs": 1.0}, where="shop.toml [llm.budget]")
    with pytest.raises(ConfigError, match="prompt"):
        parse(Prices, {"prompt": -1.0}, where="shop.toml [llm.prices]")

"""A world's tables as plans that build as they are: `shop.toml`, and `world.toml`, whose ranker learns all tasks at once."""

import numpy as np

from headrace.contracts.requests import Int64
from headrace.world.outcomes import PURCHASE_WINDOW_S
from headrace.world.settings import DAY_US, START_US, WorldConfig

_TEST = 0.2


def plan_of(config: WorldConfig, at_us: Int64, days: int, deterministic_policies: list[str]) -> str:
    """at_us: of every view and click logged, any order. days: logged. Windows of the split lie where impressions are."""
    quoted = ", ".join(f'"{name}"' for name in deterministic_policies)
    sure = f"deterministic_policies = [{quoted}]\n" if deterministic_policies else ""
    return f"""# A simulated shop: world.json says which. truth/ knows what would have come of every candidate; no build reads it.
seed = 0

[data]
events = "events"
items = "items.parquet"
users = "users.parquet"
requests = "requests"
candidates = "candidates"
{sure}
[kinds.view]
[kinds.click]

[kinds.dwell]                 # what follows a click is a label, not another visit
polarity = "neutral"
min_value = 0
[kinds.purchase]
polarity = "neutral"
[kinds.satisfied]
polarity = "neutral"

[tasks.click]
event = "click"
window_h = 1
[tasks.purchase]
event = "purchase"
window_h = {PURCHASE_WINDOW_S // 3600 + 1}
[tasks.satisfied]
event = "satisfied"
window_h = {PURCHASE_WINDOW_S // 3600 + 1}
{_split(at_us, days)}
[retrieve]
use = ["popularity", "itemknn"]
k = {min(100, config.recalled)}

[rank]
use = "dcnv2"
keep = {config.considered}
learn_from = "impressions"
task = "click"

[page]
use = "explore"
seen_items = true             # nobody here tires of what they had

[page.explore]
slots = {config.slots}
temperature = 0.1
epsilon = 0.02
"""


def plan_of_tasks(plan: str) -> str:
    """The same with a ranker of several tasks; the click, the most frequent, is the main one."""
    one = 'use = "dcnv2"\n', 'task = "click"\n'
    several = 'use = "shared_bottom"\n', 'task = ["click", "purchase", "satisfied"]   # the first is the main one\n'
    for old, new in zip(one, several, strict=True):
        plan = plan.replace(old, new)
    return plan


def _split(at_us: Int64, days: int) -> str:
    """The last fifth of the days is the test, the rest of them what scorers learn from; retrievers stop before."""
    if days < 3:
        return ""
    test = max(round(days * _TEST), 1)
    rank = (days - test + 1) // 2
    starts = START_US + DAY_US * np.array([0, days - test - rank, days - test])
    first, middle, last = (np.mean(at_us >= start) for start in starts)
    valid = min(0.05, (1 - first) / 2)
    return f"""
[split]                       # the days with pages: learn on the first, test on the last {test}
valid_share = {valid:.6f}
prerank_share = {first - middle:.6f}
rank_share = {middle - last:.6f}
test_share = {last:.6f}
"""

"""A world small enough to be gone through."""

from headrace.methods.page.explore import Explore, ExploreConfig
from headrace.world.settings import WorldConfig

TINY = WorldConfig(
    users=240, items=300, topics=8, dim=16, days=4, nearest=20, popular=10, uniform=6, considered=12, slots=3, visits=3.0, ctr=0.1
)  # fmt: skip


def logger(config: WorldConfig = TINY, policy_id: str = "logger") -> Explore:
    settings = ExploreConfig(slots=config.slots, temperature=config.temperature, epsilon=config.epsilon)
    return Explore(settings, policy_id=policy_id)

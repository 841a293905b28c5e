"""A page filled slot by slot, with chance: `policy` says how; rules, caps and diversity each stand in a file of their own."""

from headrace.methods.page.explore.policy import Explore
from headrace.methods.page.explore.settings import ExploreConfig, Rule

__all__ = ["Explore", "ExploreConfig", "Rule"]

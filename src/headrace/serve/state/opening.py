"""Where the online state lies is a setting."""

from pathlib import Path

from headrace.contracts.serving import ServeConfig
from headrace.contracts.tables import ITEMS
from headrace.data.log import Log
from headrace.serve.catalogue.kept import Catalogue
from headrace.serve.catalogue.redis_items import RedisCatalogue
from headrace.serve.state.lately import Lately
from headrace.serve.state.layered import LayeredState
from headrace.serve.state.recent import Recent, RecentHere
from headrace.serve.state.redis_recent import RedisRecent
from headrace.serve.state.redis_state import RedisState
from headrace.serve.workers.seat import Seat


def open_state(folder: Path, log: Log, key: str, settings: ServeConfig, seat: Seat) -> LayeredState:
    if settings.state == "redis":
        return RedisState(folder, log, key, settings, sole=seat.alone)
    return LayeredState(folder, log, key, map_gb=settings.map_gb, sole=seat.alone)


def open_recent(state: LayeredState, lately: Lately, settings: ServeConfig) -> Recent:
    here = RecentHere(lately, settings.recent)
    return RedisRecent(state.server, state.looks, settings.recent, here) if isinstance(state, RedisState) else here


def open_catalogue(state: LayeredState) -> Catalogue:
    return RedisCatalogue(state, ITEMS.schema()) if isinstance(state, RedisState) else Catalogue(state, ITEMS.schema())

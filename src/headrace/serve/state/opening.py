"""Where the online state lies is a setting."""

from pathlib import Path

from headrace.contracts.serving import ServeConfig
from headrace.data.log import Log
from headrace.serve.state.lately import Lately
from headrace.serve.state.layered import LayeredState
from headrace.serve.state.recent import Recent, RecentHere
from headrace.serve.state.redis_state import RedisState
from headrace.serve.workers.seat import Seat


def open_state(folder: Path, log: Log, key: str, settings: ServeConfig, seat: Seat) -> LayeredState:
    if settings.state == "redis":
        return RedisState(folder, log, key, settings)
    return LayeredState(folder, log, key, map_gb=settings.map_gb, sole=seat.alone)


def open_recent(state: LayeredState, lately: Lately, settings: ServeConfig) -> Recent:
    return RecentHere(lately, settings.recent)

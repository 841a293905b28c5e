"""Where the online state lies is a setting."""

from pathlib import Path

from headrace.contracts.serving import ServeConfig
from headrace.data.log import Log
from headrace.serve.redis_state import RedisState
from headrace.serve.state import LayeredState


def open_state(folder: Path, log: Log, key: str, settings: ServeConfig) -> LayeredState:
    if settings.state == "redis":
        return RedisState(folder, log, key, settings)
    return LayeredState(folder, log, key, map_gb=settings.map_gb)

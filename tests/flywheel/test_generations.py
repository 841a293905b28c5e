import json
import subprocess
import sys
from threading import Barrier, Thread

import pytest

from headrace.contracts.errors import ArtifactError, ConfigError
from headrace.contracts.manifest import Manifest
from headrace.flywheel.generations import Generations


def store_generation(ledger, key):
    """An artifact of one model and the generation made from it."""
    for kind, name, parents in (("rank", f"model-{key}", {}), ("generation", key, {"rank": f"model-{key}"})):
        with ledger.store.create(Manifest(kind=kind, key=name, revision=1, config={}, parents=parents)) as draft:
            (draft.path / "file.txt").write_text(key)


@pytest.fixture
def ledger(tmp_path):
    made = Generations(tmp_path / "run")
    for key in "abc":
        store_generation(made, key)
        made.add(key, plan={"toml": {"seed": 1}}, verdict={"says": key})
    return made


def test_numbers_are_given_in_order_and_the_same_record_is_not_made_twice(ledger):
    again = ledger.add("b", verdict={"says": "b"})
    assert [one.number for one in ledger.all()] == [1, 2, 3]
    assert again.number == 2
    assert ledger.get(2).plan == {"toml": {"seed": 1}}


def test_promote_and_roll_back_go_along_the_line_of_what_was_live(ledger):
    assert ledger.live is None
    for number in (1, 3, 2):
        ledger.promote(number, "gates passed")
    assert ledger.live_number == 2
    assert ledger.rollback("error rate").number == 3
    assert ledger.rollback("again").number == 1
    assert [move.to for move in ledger.moves] == [1, 3, 2, 3, 1]
    ledger.promote(2, "mended")
    assert ledger.rollback("no").number == 1


def test_a_new_generation_knows_what_was_live_when_it_was_made(ledger):
    ledger.promote(2, "")
    store_generation(ledger, "d")
    assert ledger.add("d").parent == 2


def test_there_is_nothing_before_the_first(ledger):
    with pytest.raises(ConfigError, match="no generation is live"):
        ledger.rollback("")
    ledger.promote(1, "")
    with pytest.raises(ConfigError, match="generation 1 has no predecessor"):
        ledger.rollback("")
    assert ledger.live_number == 1


def test_an_unknown_number_says_which_there_are(ledger):
    with pytest.raises(ConfigError, match="no generation 9. It has 1 to 3"):
        ledger.promote(9, "")


def test_a_verdict_against_another_generation_is_not_acted_on(ledger):
    ledger.promote(1, "")
    ledger.promote(2, "", over=1)
    with pytest.raises(ConfigError, match="judged against 1, and 2 is live"):
        ledger.promote(3, "", over=1)
    assert ledger.live_number == 2


@pytest.mark.parametrize("damaged", ["generation/c/file.txt", "rank/model-c/file.txt"])
def test_a_damaged_generation_is_not_promoted(ledger, damaged):
    ledger.promote(1, "")
    (ledger.store.root / damaged).write_text("other")
    with pytest.raises(ArtifactError, match="is not what was written"):
        ledger.promote(3, "")
    assert ledger.live_number == 1


def test_one_whose_model_was_erased_is_not_gone_back_to(ledger):
    ledger.promote(1, "")
    ledger.promote(2, "")
    for path in (ledger.store.root / "rank" / "model-a").iterdir():
        path.unlink()
    (ledger.store.root / "rank" / "model-a").rmdir()
    with pytest.raises(ArtifactError, match="lacks its rank"):
        ledger.rollback("")
    assert ledger.live_number == 2


def test_many_at_once_are_one_after_another(ledger):
    gate = Barrier(8)

    def move(number):
        gate.wait()
        Generations(ledger.run).promote(number, "thread")

    threads = [Thread(target=move, args=(1 + place % 3,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stack = [0]
    for one in ledger.moves:
        assert one.what == "promote"
        assert one.to != stack[-1]
        stack.append(one.to)
    assert ledger.live_number == stack[-1]


CUT = """
import os, sys
from pathlib import Path
from headrace.artifacts import atomic
from headrace.flywheel.generations import Generations
atomic.os.replace = lambda *_: os._exit(9)  # the power goes between the write and the rename
Generations(Path(sys.argv[1])).promote(2, "cut")
"""


def test_a_cut_between_write_and_rename_leaves_the_old_one_live_and_the_lock_free(ledger):
    ledger.promote(1, "")
    assert subprocess.run([sys.executable, "-c", CUT, str(ledger.run)], check=False).returncode == 9
    assert ledger.live_number == 1
    assert ledger.promote(2, "again").number == 2


def test_a_damaged_ledger_says_so(ledger):
    (ledger.run / "live.json").write_text(json.dumps({"live": 1}))
    with pytest.raises(ArtifactError, match="not a ledger of promotions"):
        _ = ledger.live_number

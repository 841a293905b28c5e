import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.data.token_rows import NOTHING, HiddenTokens, TokenRows
from headrace.data.tokens import Tokens
from headrace.testing import check_batches


def counted(n=103, cuts=(40, 41)):
    """Token number i is i, so a row says where it was cut."""
    return Tokens(np.arange(n, dtype=np.int32), np.array([0, *cuts, n], np.int64))


def rows(n=103, length=8, batch_size=3, **more):
    return TokenRows(counted(n), length=length, batch_size=batch_size, seed=0, **more)


def hidden(**more):
    return HiddenTokens(rows(4_000, 16, 40), **{"share": 0.2, "mask": 1, "least": 5, "size": 4_000, "seed": 0, **more})


def test_contract():
    check_batches(rows())
    check_batches(rows(apart=True))
    check_batches(hidden())


def test_a_row_is_text_and_its_target_the_next_token():
    for epoch in (0, 1, 7):
        batches = rows().epoch(epoch)
        ids = np.concatenate([batch["ids"].numpy() for batch in batches])
        targets = np.concatenate([batch["targets"].numpy() for batch in batches])
        assert [len(batch["ids"]) for batch in batches] == [3] * len(batches), "whole batches alone"
        assert len(batches) in (3, 4), "11 or 12 rows, as the phase has it"
        assert np.array_equal(targets, ids + 1)
        assert np.array_equal(ids, ids[:, :1] + np.arange(8))
        assert len(np.unique(ids)) == ids.size, "no token is read twice in an epoch"
        assert targets.max() < 103


def test_epochs_cut_at_phases_that_cover_the_text():
    """Of every token, over some epochs: the first and the last ones too."""
    seen = {int(token) for epoch in range(40) for batch in rows().epoch(epoch) for token in batch["ids"].flatten()}
    assert seen == set(range(102)), "the very last token is a target alone"
    assert not rows().epoch(0)[0]["ids"].equal(rows().epoch(1)[0]["ids"])
    other = TokenRows(counted(), length=8, batch_size=3, seed=1)
    assert not rows().epoch(0)[0]["ids"].equal(other.epoch(0)[0]["ids"])


def test_rows_say_which_document_each_token_is_of():
    for batch in rows(apart=True).epoch(0):
        assert batch["documents"].equal((batch["ids"] >= 40).long() + (batch["ids"] >= 41).long())


def test_an_empty_document_has_no_token():
    apart = TokenRows(counted(cuts=(40, 40)), length=8, batch_size=3, seed=0, apart=True)
    assert {int(number) for batch in apart.epoch(0) for number in batch["documents"].flatten()} == {0, 2}


def test_too_little_text_is_refused_and_a_little_is_one_batch():
    with pytest.raises(DataError, match="16 tokens give no two rows of 8"):
        rows(16)
    assert [len(batch["ids"]) for batch in rows(24, batch_size=50).epoch(0)] == [2]
    with pytest.raises(IndexError):
        rows().epoch(0)[4]


def test_hidden_tokens_are_a_share_and_mostly_masked():
    batches, plain = hidden(), rows(4_000, 16, 40)
    shown, targets, wanted = (
        np.concatenate([batch[name].numpy().ravel() for batch in of])
        for of, name in ((batches.epoch(0), "ids"), (batches.epoch(0), "targets"), (plain.epoch(0), "ids"))
    )
    gone = targets != NOTHING
    assert np.array_equal(targets[gone], wanted[gone])
    assert np.array_equal(shown[~gone], wanted[~gone]), "what predicts nothing stands as it was"
    # 3,840 tokens: three standard errors of each share
    assert gone.mean() == pytest.approx(0.2, abs=0.02)
    assert (shown[gone] == 1).mean() == pytest.approx(0.8, abs=0.045)
    assert (shown[gone] == wanted[gone]).mean() == pytest.approx(0.1, abs=0.035)


def test_special_tokens_are_neither_hidden_nor_drawn():
    batches = hidden(share=1.0, least=2_000)
    for batch in batches.epoch(0):
        drawn = batch["ids"][(batch["ids"] != 1) & (batch["targets"] != NOTHING)]
        assert (batch["targets"][batch["targets"] != NOTHING] >= 2_000).all()
        assert (drawn >= 2_000).all()


def test_one_batch_is_hidden_by_its_name_alone():
    batches, batch = hidden(), rows(4_000, 16, 40).epoch(0)[0]
    one = batches.hide(batch, "valid", 0)
    assert one["ids"].equal(batches.hide(batch, "valid", 0)["ids"])
    assert not one["ids"].equal(batches.hide(batch, "valid", 1)["ids"])
    assert not one["ids"].equal(batch["ids"])

import numpy as np

from headrace.data.holdouts import LeaveLast
from headrace.data.log import Log
from headrace.data.ring import write_ring
from headrace.data.some_users import SomeUsers


def test_the_others_are_as_if_they_had_not_been(tmp_path):
    write_ring(tmp_path, users=60, steps=6, items=20)
    log = Log.from_tables(tmp_path)
    whole, some = LeaveLast().of(log), SomeUsers(share=0.4).of(log)
    kept = np.flatnonzero(some.log.store.events.lengths)
    assert 10 < len(kept) < 40
    (asked, answers), (all_asked, all_answers) = some.test(), whole.test()
    assert set(asked.users.tolist()) <= set(kept.tolist())
    rows = np.flatnonzero(np.isin(all_asked.users, kept))
    assert answers.items.tolist() == all_answers.take(rows).items.tolist()
    assert asked.history.items.tolist() == all_asked.take(rows).history.items.tolist()
    trained, all_trained = some.train(), whole.train()
    assert trained.n_items == all_trained.n_items
    assert trained.history.take(kept).items.tolist() == all_trained.history.take(kept).items.tolist()
    assert trained.history.lengths.sum() == all_trained.history.lengths[kept].sum()
    assert f"of {len(kept)} users" in some.describes


def test_a_larger_share_keeps_who_was_kept(tmp_path):
    write_ring(tmp_path, users=60, steps=6, items=20)
    log = Log.from_tables(tmp_path)
    few, more = (np.flatnonzero(SomeUsers(share=share).of(log).log.store.events.lengths) for share in (0.2, 0.6))
    assert set(few.tolist()) < set(more.tolist())

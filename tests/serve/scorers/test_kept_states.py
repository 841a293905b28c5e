from headrace.serve.scorers.kept_states import KeptStates, number_of

MB = 2**20


def test_the_least_recent_goes_first():
    kept = KeptStates(most_mb=3)
    for who in (1, 2, 3):
        kept.put("rank", who, f"of {who}", MB)
    assert kept.get("rank", 1) == "of 1"
    kept.put("rank", 4, "of 4", MB)
    assert [kept.get("rank", who) for who in (1, 2, 3, 4)] == ["of 1", None, "of 3", "of 4"]
    assert kept.nbytes == 3 * MB


def test_an_entry_put_again_counts_once_and_one_too_large_is_not_kept():
    kept = KeptStates(most_mb=3)
    kept.put("rank", 1, "old", 2 * MB)
    kept.put("rank", 1, "new", MB)
    assert (kept.get("rank", 1), kept.nbytes) == ("new", MB)
    kept.put("rank", 1, "too large", 4 * MB)
    assert (kept.get("rank", 1), kept.nbytes, len(kept)) == (None, 0, 0), "and what it stood for is out of date"


def test_a_user_is_dropped_at_every_stage():
    kept = KeptStates(most_mb=3)
    for stage in ("prerank", "rank"):
        kept.put(stage, 1, stage, 10)
    kept.put("rank", 2, "another", 10)
    kept.drop(1)
    assert (kept.get("prerank", 1), kept.get("rank", 1), kept.get("rank", 2), kept.nbytes) == (None, None, "another", 10)
    kept.clear()
    assert (len(kept), kept.nbytes) == (0, 0)


def test_numbers_are_those_of_names():
    assert number_of("u1") == number_of("u1") != number_of("u2")
    assert -(2**63) <= number_of("u1") < 2**63

from headrace.contracts.errors import MissingExtra, listed, nearest


def test_nearest_names_one_that_is_close_or_nothing():
    assert nearest("retrive", ["rank", "retrieve"]) == ' Did you mean "retrieve"?'
    assert nearest("RANK", ["Rank"]) == ' Did you mean "Rank"?'
    assert nearest("xyz", ["rank", "retrieve"]) == ""


def test_long_lists_are_cut_with_a_count():
    assert listed(["a", "b"]) == "a, b"
    assert listed(map(str, range(5)), limit=3) == "0, 1, 2 and 2 more"


def test_a_missing_extra_says_what_to_install():
    assert "pip install 'headrace[serve]'" in str(MissingExtra("fastapi", "serve", "headrace serve"))

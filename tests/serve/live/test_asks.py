from headrace.serve.live.asks import RELOAD, SHADOW, Asks, read, written
from headrace.serve.state.lately import Lately, emptied


def test_what_one_was_asked_the_others_hear_once(tmp_path):
    lately = Lately(emptied(tmp_path / "lately"))
    first, second = Asks(lately), Asks(lately)
    assert first.fresh(RELOAD) is None
    first.all(RELOAD)
    first.all(SHADOW, written(3))
    assert first.fresh(RELOAD) is first.fresh(SHADOW) is None, "it has done it"
    assert second.fresh(RELOAD) == ""
    assert second.fresh(SHADOW) == "3"
    assert second.fresh(SHADOW) is None
    assert Asks(lately).fresh(SHADOW) == "3", "one that was started later has not done it either"
    lately.close()


def test_whom_is_written_and_read():
    for whom in (None, "latest", 12):
        assert read(written(whom)) == whom

import os
import signal
import threading

import pytest

from headrace.contracts.training import TrainConfig
from headrace.train.signals import Interrupted, noticed
from headrace.train.trainer import train
from tests.train.small import CONFIG, Rows, learned, model_of, weights

ASKING = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def heard():
    """A background shell hands SIGINT down ignored, and what is ignored stays so: these tests are of a process that hears it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ASKING)
def test_the_step_is_finished_and_saved_and_the_run_goes_on_to_the_same_bits(tmp_path, number):
    before = [signal.getsignal(one) for one in ASKING]
    straight, model = model_of(), model_of()
    wanted = train(learned(straight), CONFIG, seed=7)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Interrupted, match=f"sasrec: stopped after step 8 by {number.name}.*checkpoint.safetensors.*run the same"):
        train(learned(model_of(), Rows(stop_at=7, stop=send(number))), CONFIG, seed=7, name="sasrec", checkpoint_path=path)
    assert [signal.getsignal(one) for one in ASKING] == before
    result = train(learned(model), CONFIG, seed=7, name="sasrec", checkpoint_path=path)
    assert weights(model).equal(weights(straight))
    assert (result.steps, result.curve) == (wanted.steps, wanted.curve)


def test_without_a_checkpoint_the_message_says_so():
    with pytest.raises(Interrupted, match="after step 3 by SIGINT. Nothing was kept"):
        train(learned(batches=Rows(stop_at=2, stop=send(signal.SIGINT))), CONFIG, seed=0)


def test_asked_while_validating_the_epoch_is_kept(tmp_path):
    path = tmp_path / "checkpoint.safetensors"

    def value():
        send(signal.SIGINT)()
        return 0.5

    with pytest.raises(Interrupted):
        train(learned(), CONFIG, seed=0, validate=value, checkpoint_path=path)
    again = train(learned(), TrainConfig(epochs=1, device="cpu"), seed=0, validate=lambda: 1 / 0, checkpoint_path=path)
    assert (again.best_value, again.steps) == (0.5, 5)


def test_a_second_signal_does_not_wait():
    with noticed() as asked:
        send(signal.SIGTERM)()
        assert asked.by == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)()


def test_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), noticed():
        1 / (signal.getsignal(signal.SIGTERM) == before)
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with noticed() as asked:
            send(signal.SIGTERM)()
            assert asked.by is None
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_nothing_is_installed():
    found = []

    def work():
        with noticed():
            found.append(signal.getsignal(signal.SIGTERM))
        train(learned(), CONFIG, seed=0)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]

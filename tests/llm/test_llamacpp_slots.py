import io
from email.message import Message
from urllib.error import HTTPError

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from headrace.llm.llamacpp_slots import WORTH_SHARING, Slots, shared

BEGINNING = list(range(20))
FIRST, LAST = [*BEGINNING, 100, 101], [*BEGINNING, 200]


class Server:
    """Writes what it is asked to write, and may refuse one path."""

    def __init__(self, slots, refuses=""):
        self.slots, self.refuses, self.heard = slots, refuses, []

    def __call__(self, path, body):
        self.heard.append((path, body))
        if path == self.refuses:
            raise HTTPError(path, 501, "Not supported.", Message(), io.BytesIO())
        if path.endswith("save"):
            (self.slots.folder / body["filename"]).write_bytes(b"keys and values")
        if path.endswith("restore"):
            assert (self.slots.folder / body["filename"]).read_bytes() == b"keys and values"

    @property
    def paths(self):
        return [path for path, _ in self.heard]


def test_one_slot_reads_and_the_others_fetch():
    slots = Slots(3, 512)
    server = Server(slots)
    slots.begin(server, FIRST, LAST, chats=9)
    assert server.paths == ["/completion", "/slots/0?action=save", "/slots/1?action=restore", "/slots/2?action=restore"]
    read = server.heard[0][1]
    assert (read["prompt"], read["n_predict"], read["id_slot"]) == (BEGINNING, 0, 0)
    assert not any(slots.folder.iterdir())  # what is in the slots needs no file
    slots.close()
    assert not slots.folder.exists()


def test_what_the_slots_hold_is_not_read_again():
    slots = Slots(3, 512)
    server = Server(slots)
    slots.begin(server, FIRST, LAST, chats=9)
    for first in (FIRST, [*BEGINNING, 200, 7], [*BEGINNING[:12], 5]):
        slots.begin(server, first, LAST, chats=9)
    assert server.paths.count("/completion") == 1
    longer = [*BEGINNING, *range(200, 200 + WORTH_SHARING)]
    slots.begin(server, [*longer, 1], [*longer, 2], chats=9)
    assert server.paths.count("/completion") == 2


def test_two_chats_fill_two_slots_and_the_next_call_may_need_more():
    slots = Slots(4, 512)
    server = Server(slots)
    slots.begin(server, FIRST, LAST, chats=2)
    assert server.paths[-1] == "/slots/1?action=restore"
    slots.begin(server, FIRST, LAST, chats=4)
    assert server.paths[-1] == "/slots/3?action=restore"


@pytest.mark.parametrize(
    ("count", "context", "first", "chats"),
    [(1, 512, FIRST, 9), (4, 512, FIRST, 1), (4, 19, FIRST, 9), (4, 512, FIRST[: WORTH_SHARING - 1], 9), (4, 512, [9], 9)],
)
def test_where_it_would_save_nothing_nothing_is_read(count, context, first, chats):
    slots = Slots(count, context)
    slots.begin(Server(slots, "/completion"), first, LAST, chats=chats)
    assert not slots._held


@pytest.mark.parametrize("refuses", ["/completion", "/slots/0?action=save", "/slots/1?action=restore"])
def test_a_model_whose_state_can_not_be_moved_does_without(refuses):
    slots = Slots(3, 512)
    server = Server(slots, refuses)
    slots.begin(server, FIRST, LAST, chats=9)
    assert server.paths[-1] == refuses
    assert not any(slots.folder.iterdir())


@given(one=lists(integers(0, 2)), other=lists(integers(0, 2)))
def test_how_much_two_share(one, other):
    found = shared(one, other)
    assert one[:found] == other[:found]
    assert found == min(len(one), len(other)) or one[found] != other[found]

import asyncio
import select
import socket
from collections import Counter

import pytest

from headrace.contracts.errors import ConfigError
from headrace.serve.workers.sockets import held, listening, port_of


def test_connections_go_to_those_that_listen():
    mine = held("127.0.0.1", 0)
    addresses = [one.getsockname() for one in mine]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(addresses[0]).close()  # it is held, and nobody listens yet
    first, second = (listening(addresses)[0] for _ in range(2))
    asking = [socket.create_connection(addresses[0]) for _ in range(64)]
    taken = Counter[str]()
    while taken.total() < 64:
        ready, _, _ = select.select([first, second], [], [], 60)
        assert ready, "each connection comes to one of them"
        for one in ready:
            one.accept()[0].close()
            taken["first" if one is first else "second"] += 1
    assert min(taken.values()) >= 10, "by chance in fewer than one of a hundred million runs it is not"
    first.close()
    asking.append(socket.create_connection(addresses[0]))
    assert select.select([second], [], [], 60)[0], "who stopped gets no more"
    second.accept()[0].close()
    for one in (*asking, second, *mine):
        one.close()


def test_small_answers_do_not_wait_for_a_receiver_s_word():
    """asyncio sets TCP_NODELAY on connections that say they are TCP's, which they have from what listens."""

    async def connection():
        mine = held("127.0.0.1", 0)
        (listens,), without_delay = listening([one.getsockname() for one in mine]), asyncio.get_running_loop().create_future()

        def asked(_, writer):
            without_delay.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        server = await asyncio.start_server(asked, sock=listens)
        with socket.create_connection(mine[0].getsockname()):
            found = await asyncio.wait_for(without_delay, 30)
        server.close()
        await server.wait_closed()
        for one in mine:
            one.close()
        return found

    assert asyncio.run(connection())


def test_a_port_that_is_taken_is_named_also_where_it_would_be_shared():
    mine = held("127.0.0.1", 0)
    other = listening([one.getsockname() for one in mine])
    with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port_of(mine)} can't be listened on: Address already in use. Stop"):
        held("127.0.0.1", port_of(mine))
    for one in (*other, *mine):
        one.close()


def test_what_is_no_address_of_this_machine_is_named():
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:8765 can't be listened on: .*0\.0\.0\.0 is all of them"):
        held("192.0.2.1", 8765)
    with pytest.raises(ConfigError, match="--host no such host: "):
        held("no such host", 8765)


def test_every_address_of_a_name_gets_the_same_port():
    mine = held("localhost", 0)
    assert {one.getsockname()[1] for one in mine} == {port_of(mine)}
    for one in mine:
        one.close()

from headrace.serve.bench.started import divided


def test_cores_are_the_server_s_and_the_client_s_and_shared_where_there_are_too_few():
    assert divided([0, 1], 1) == ((0,), (1,))
    assert divided([0, 1], 2) == ((0, 1), (0, 1))
    assert divided([0, 1, 2, 3, 4, 5, 6, 7], 2) == ((0, 1, 2, 3), (4, 5, 6, 7))
    assert divided([0, 1, 2, 3, 4, 5, 6, 7], 6) == ((0, 1, 2, 3, 4, 5), (6, 7))
    assert divided([3], 4) == ((3,), (3,))

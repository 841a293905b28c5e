import numpy as np

from headrace.world.draws import normals, uniforms

IDS = np.array([f"d000u{n:06d}" for n in range(2000)])
COLUMNS = np.arange(16)


def test_a_draw_belongs_to_its_request_and_column():
    whole = uniforms(0, "click", IDS, COLUMNS)
    assert (uniforms(0, "click", IDS[7:9], COLUMNS[3:4]) == whole[7:9, 3:4]).all()
    assert (uniforms(0, "click", IDS, np.tile(COLUMNS, (len(IDS), 1))) == whole).all()
    for other in (uniforms(1, "click", IDS, COLUMNS), uniforms(0, "dwell", IDS, COLUMNS)):
        assert abs(np.corrcoef(other.ravel(), whole.ravel())[0, 1]) < 4 / np.sqrt(whole.size)


def test_moments():
    even, normal = uniforms(0, "a", IDS, COLUMNS).ravel(), normals(0, "a", IDS, COLUMNS).ravel()
    error = 4 / np.sqrt(len(even))
    assert abs(even.mean() - 0.5) < error * np.sqrt(1 / 12)
    assert abs(normal.mean()) < error
    assert abs((normal**2).mean() - 1) < error * np.sqrt(2)
    assert abs((normal**4).mean() - 3) < error * np.sqrt(96)

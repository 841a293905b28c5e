import numpy as np

from headrace.data.feature_kinds import kinds_of
from headrace.data.features import Features, Timeline


def test_columns_have_one_code_or_several_and_what_is_made_of_them_is_no_column():
    since = np.zeros(2, np.int64)
    users = Timeline(np.arange(3), since, {"user.age": np.zeros(2, np.int32)})
    items = Timeline(np.arange(3), since, {"item.tags": np.zeros((2, 8), np.int32), "item.colour": np.zeros(2, np.int32)})
    features = Features(items, users, {"user.age": 4, "item.tags": 9, "item.colour": 3, "user.count_7d": 6})
    assert kinds_of(features) == {"user.age": ("category", 4), "item.tags": ("bag", 9), "item.colour": ("category", 3)}

"""What holds for every test."""

from hypothesis import settings

# The same examples each time, and no limit on an example's time: a test fails for what it checks, not for luck or a busy machine.
settings.register_profile("headrace", derandomize=True, deadline=None, database=None)
settings.load_profile("headrace")

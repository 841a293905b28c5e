"""What holds for every test."""

from hypothesis import HealthCheck, settings

# The same examples each time, and no limit on an example's time, nor on that of drawing it: a test fails for what it checks, not
# for luck or a busy machine.
settings.register_profile(
    "headrace", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("headrace")

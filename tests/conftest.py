"""Shared test settings: properties are derandomised, so that a failure repeats itself."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "troth",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("troth")

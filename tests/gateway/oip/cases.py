"""How many cases Hypothesis makes up here: a few on a user's machine, hundreds under CI."""

import os

import hypothesis

MANY = hypothesis.settings(
    deadline=None,
    max_examples=500 if os.environ.get("CI") == "true" else 25,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)

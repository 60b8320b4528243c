"""How long tests wait for what has to come, and how soon what waits for nothing must be over."""

# Seconds. A machine that runs other tests besides may take twenty for what takes one alone, and a
# deadline that is kept costs nothing.
PATIENCE = 180.0
# Of what must not wait for something that holds (for `PATIENCE`, or for ever): far less than that,
# and far more than a busy machine needs.
AT_ONCE = 20.0

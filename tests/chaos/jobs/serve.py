"""A gateway with the no-op family: `python -m tests.chaos.jobs.serve`."""

import sys

from services.core.settings import get_settings
from services.gateway.server import serve
from tests.support.no_op import NAME, NoOpFamily

if __name__ == "__main__":
    serve(get_settings(), {NAME: NoOpFamily()})
    sys.exit(0)

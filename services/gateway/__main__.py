"""`python -m services.gateway` serves with the settings of the environment."""

import sys

from services.core.errors import SlipwayError
from services.core.settings import get_settings
from services.gateway.server import serve


def main() -> int:
    """Serve; return the exit code."""
    try:
        serve(get_settings())
    except SlipwayError as error:
        hint = f" ({error.where}: expected {error.expected})" if error.where else ""
        sys.stderr.write(f"slipway: {error.message}{hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

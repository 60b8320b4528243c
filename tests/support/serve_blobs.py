"""Serve the blob family as a process of its own: `python -m tests.support.serve_blobs GATE`.

GATE is a file; the model's runs wait while it exists. Settings come from the environment.
"""

import sys
from pathlib import Path

from services.core.errors import SlipwayError
from services.core.settings import get_settings
from services.gateway.server import serve
from tests.support.blobs import BlobFamily, wait_while


def main() -> int:
    try:
        serve(get_settings(), {"blobs": BlobFamily(wait_while(Path(sys.argv[1])))})
    except SlipwayError as error:
        sys.stderr.write(f"{error.where}: {error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

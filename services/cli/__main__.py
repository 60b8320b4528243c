"""`python -m services.cli` is the `slipway` command, wherever the checkout lies."""

from services.cli.main import main

main()

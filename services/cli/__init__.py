"""The `slipway` command, a door: it reads options, calls a room below, and prints the outcome.

One file per command, assembled in `main`. Nothing heavy is imported until a command needs it, so
that `slipway --help` answers at once.
"""

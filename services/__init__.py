"""Slipway: takes trained models into production, serves them, watches them and replaces them.

Rooms, from the ground up: `core` (settings, errors, logs), `families` (what can be served),
`engine` (models in memory and the one way to predict), `training` (fit and evaluate),
`monitoring` (what the numbers say), and the doors `gateway` (HTTP) and `cli` (the `slipway`
command). Imports run one way, doors to core; `tests/architecture` holds that.
"""

__version__ = "0.1.0"

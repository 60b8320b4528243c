"""Settings, errors, logging, metric definitions and ids: what every room stands on.

Imports nothing of ours.
"""

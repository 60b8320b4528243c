"""Starts the processes of the embedded default, restarts those that die, and stops them all."""

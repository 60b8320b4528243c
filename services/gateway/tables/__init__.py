"""Rows as other servers' clients write them, brought into the form that the engine takes."""

"""Clients that do not install beside Slipway: their pins, and the scripts that use them."""

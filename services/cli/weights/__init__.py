"""Fetching of model weights that Slipway may not ship: catalogue, download, record, install."""

"""Fitting and evaluation of the models that come with Slipway."""

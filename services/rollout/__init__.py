"""Bringing versions into production and back: gates, promotion, rollback."""

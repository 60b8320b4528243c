"""One file for each step; `alembic` reads them by their place, nothing imports them."""

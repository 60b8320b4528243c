"""Takes the journal to the database and to MLflow: at least once, with names that make it once."""

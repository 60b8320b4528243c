"""The durable record of every prediction: journal, database of recent ones, shipping to MLflow."""

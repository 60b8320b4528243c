"""The ledger's database: recent predictions, feedback, and how far records were shipped."""

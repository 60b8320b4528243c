"""The durable job: accepted once, leased with a fencing token, ended once; tasks go by name."""

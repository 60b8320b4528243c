"""Metrics: what each is called and means, and how those of several processes become one."""

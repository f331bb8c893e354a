"""The report of an extraction attack."""

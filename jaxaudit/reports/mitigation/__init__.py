"""The report of mitigations."""

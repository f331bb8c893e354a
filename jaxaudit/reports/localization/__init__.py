"""The report of a localisation."""

"""The studies of CDI."""

"""How far verdicts can be trusted, as tables."""

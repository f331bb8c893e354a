"""The answer to an owner's question."""

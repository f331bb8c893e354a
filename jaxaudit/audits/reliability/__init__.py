"""How often the answers are wrong where the truth is known."""

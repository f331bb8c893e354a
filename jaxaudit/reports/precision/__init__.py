"""What bfloat16 changes, as tables."""

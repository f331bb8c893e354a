"""What an audit costs: tables of one target and of the suite, and a figure."""

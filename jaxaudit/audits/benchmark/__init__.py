"""How fast an audit is, and what it costs: stages of a target against a matrix product of the same run."""

"""The report of an audit: page, terminal, figures."""

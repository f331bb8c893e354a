"""What every score finds and what it costs: table, figure and page."""

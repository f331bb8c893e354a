"""Two pools made comparable: table, figures and page."""

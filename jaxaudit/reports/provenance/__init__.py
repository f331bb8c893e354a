"""Generated, member or neither: table, figures and page."""

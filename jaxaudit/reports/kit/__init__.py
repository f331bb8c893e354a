"""What all reports are made of: pages, markup, numbers as text, the look of figures."""

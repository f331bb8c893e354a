"""How private a training was, at most: table, figure and page; and what the bound is worth."""

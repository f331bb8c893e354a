"""Copyrighted data identification (CDI): the scorer, the test, its power, its studies."""

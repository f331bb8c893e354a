"""The pictures that can be named, as an exhibit."""

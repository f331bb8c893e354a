"""Pure functions on arrays, each usable alone: arrays in, arrays out, no models, files or meshes."""

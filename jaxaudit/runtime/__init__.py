"""Where work runs: devices, processes, rows at a time, and how much arithmetic it is."""

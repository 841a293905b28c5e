"""Speed, measured: each script prints a table and keeps a dated JSON named by the hardware."""

"""Time and memory of files on this machine or another, and whether the figures can be trusted."""

"""The coverage table: what works for which kind of network, recomputed and not claimed.

    python -m benchmarks.coverage [ROW ...] [--write]

`zoo` holds the networks, `conditioning` gives them weights and data, `cells` computes one column
for one network, `rows` runs them in child processes, `records` keeps them, `page` writes
docs/coverage.md.
"""

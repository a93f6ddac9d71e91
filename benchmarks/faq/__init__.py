"""docs/faq.md: questions that everyone asks, answered by measurements.

    python -m benchmarks.faq                                # write the page from the records
    python -m benchmarks.faq --measure [pruning|speed|distillation ...] [--test FILE.npz]

`pruning`, `speed` and `distillation` each measure one question and keep a record in
benchmarks/records; `page` writes the page from the records, and no figure in it by hand.
"""

"""The generated parts of the documentation: written from the code, and never by hand.

    python -m benchmarks.pages            # write them
    python -m benchmarks.pages --check    # only tell which are out of date (exit code 1)

`markers` replaces what stands between two comments of a page, `command_line` renders the verbs of
docs/cli.md from click, `profiles` the targets of docs/profiles.md from export_profiles/*.toml,
`workflow` shows the workflow file of docs/ci.md.
"""

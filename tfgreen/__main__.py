"""`python -m tfgreen` is the same as `tfgreen`."""

from tfgreen.cli.main import main

if __name__ == "__main__":
    main()

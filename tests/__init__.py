"""The tests of tfgreen; the folders mirror the package."""

"""The command line: one file a verb, which parses, calls one library function, prints, exits.

Only click is imported at the top of these modules, so that help and usage errors come at once.
"""

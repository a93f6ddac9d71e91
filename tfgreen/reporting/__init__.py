"""One record, several renderings: text for people, JSON for programs, code for applications."""

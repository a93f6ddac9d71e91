"""Green model compression and edge export for Keras."""

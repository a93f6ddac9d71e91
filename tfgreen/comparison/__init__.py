"""One model in six widths, side by side: the question that everyone asks first."""

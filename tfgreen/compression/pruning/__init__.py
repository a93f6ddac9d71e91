"""Weights set to zero: in one shot, in training, in rounds; and what each layer tolerates."""

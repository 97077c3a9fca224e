"""The shape of the house, as failing checks."""

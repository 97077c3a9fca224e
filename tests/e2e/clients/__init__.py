"""Unmodified clients of other people against one running system."""

"""The chat worker's rules, with fakes as arguments."""

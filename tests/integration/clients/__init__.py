"""Clients that misbehave, on sockets of their own, and what is asked of every answer to them."""

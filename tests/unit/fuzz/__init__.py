"""What strangers send, mutated: nothing but the declared refusals comes of it."""

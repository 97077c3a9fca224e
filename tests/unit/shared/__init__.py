"""What the shared modules promise, without sockets."""

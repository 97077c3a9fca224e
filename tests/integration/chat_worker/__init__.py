"""Chat workers as processes, with a real database, a real Valkey and an upstream that counts."""

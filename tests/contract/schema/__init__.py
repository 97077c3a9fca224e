"""The schema and its migrations, on every database."""

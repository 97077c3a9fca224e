"""The job store, on every database that it promises to work on."""

"""The bytes of a job's chunks: on their way, and at rest."""

"""Schema migrations, run by `shared.store.migrate` and by nothing else."""

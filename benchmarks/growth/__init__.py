"""What grows with the table: two systems, one with 1,000 finished jobs and one with a million."""

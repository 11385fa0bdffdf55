"""What users rely on across real processes: spawned, forked and killed ones."""

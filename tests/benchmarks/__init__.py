"""The benchmark suite works: it runs, counts, resumes, and reports what it could not run."""

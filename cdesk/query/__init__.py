"""Running a cataloged query: request, execution, reuse, provenance."""

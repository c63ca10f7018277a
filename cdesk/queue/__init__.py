"""The NDJSON queue: writer, files, depth, shedding."""

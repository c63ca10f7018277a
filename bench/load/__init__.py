"""Many people on the HTTP service at once, beside a bare server of the same SDK."""

"""The contracts: records, activity vocabulary, query catalog."""

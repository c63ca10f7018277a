"""Mutation testing: small mistakes put into a copy of the code, one at a time, and whether a test
notices (docs/tests.md, "What the tests notice").
"""

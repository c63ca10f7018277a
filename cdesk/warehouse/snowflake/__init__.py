"""Snowflake behind the warehouse protocol."""

"""Driving dbt: the project, the warm child process, and the export of the compiled catalog."""

"""The roof: the `cdesk` command. Each subcommand is a module of its own, imported only when it
runs.
"""

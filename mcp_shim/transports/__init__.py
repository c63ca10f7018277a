"""How MCP messages come in and go out."""

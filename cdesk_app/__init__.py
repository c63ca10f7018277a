"""What runs beside the conversation: worker, renderer, operations, and the `cdesk` command."""

"""What the processes of one state directory share: `state.db` and the context snapshot."""

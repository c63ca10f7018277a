"""What every other room stands on: settings, errors, clock, state directory, locks, log."""

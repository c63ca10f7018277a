"""Operations: what a team needs to run the system."""

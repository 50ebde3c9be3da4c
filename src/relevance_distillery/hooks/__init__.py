"""What happens around a run: checks before it, tracking of it, its closing lines."""

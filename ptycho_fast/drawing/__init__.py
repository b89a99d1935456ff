"""Pictures of an experiment, drawn by matplotlib."""

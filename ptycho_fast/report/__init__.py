"""Pictures and reports of a data set."""

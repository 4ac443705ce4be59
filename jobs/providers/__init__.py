"""Outside services and their local twins."""

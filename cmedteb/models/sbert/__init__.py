"""What the families that run on sentence-transformers share: loading, sides, binding to a task."""

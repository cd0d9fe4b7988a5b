"""Hypothetical documents: read from files, or asked of a chat model and kept."""

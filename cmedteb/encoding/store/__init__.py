"""The vector store's files: how a shard is laid out, who is at work, merging, and what is too old.

`cmedteb.encoding.cache` is what the rest of the package talks to; nothing here knows a model.
"""

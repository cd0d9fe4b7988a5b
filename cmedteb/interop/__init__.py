"""Interop: what others' tools read. Only this room and `models/mteb_model.py` know mteb."""

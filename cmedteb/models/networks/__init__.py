"""Networks that transformers loads, run as a card says: texts in, vectors out."""

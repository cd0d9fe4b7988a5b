"""New judgements as files: the overlay, other formats, what is undecided, and a data card."""

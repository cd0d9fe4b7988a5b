"""`python -m cmedteb`: the command line, where the console script is not on the path."""

from __future__ import annotations

from cmedteb.cli import main

if __name__ == "__main__":
    main()

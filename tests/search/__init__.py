"""Tests of the search room; a package, so that its file names may recur in other rooms."""

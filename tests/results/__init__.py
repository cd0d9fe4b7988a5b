"""Tests of `cmedteb.results`."""

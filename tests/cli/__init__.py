"""Tests of `cmedteb.cli`."""

"""Tests of `cmedteb annotate`."""

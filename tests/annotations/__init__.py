"""Tests of `cmedteb.annotations`."""

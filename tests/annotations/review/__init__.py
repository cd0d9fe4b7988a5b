"""Tests of `cmedteb.annotations.review`."""

"""Tests of `cmedteb.annotations.release`."""

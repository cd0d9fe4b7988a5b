"""Tests of `cmedteb.annotations.triplets`."""

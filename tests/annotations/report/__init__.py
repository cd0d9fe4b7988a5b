"""Tests of `cmedteb.annotations.report`."""

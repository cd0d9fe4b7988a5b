"""Tests of `cmedteb.runner`."""

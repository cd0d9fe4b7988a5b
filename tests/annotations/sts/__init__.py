"""Tests of `cmedteb.annotations.sts`."""

"""Tests of `cmedteb.interop`."""

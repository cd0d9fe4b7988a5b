"""Tests of the simulated judges and of the demo."""

"""Tests of `cmedteb.leaderboard`."""

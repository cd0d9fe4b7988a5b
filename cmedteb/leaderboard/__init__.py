"""The leaderboard: numbers recomputed from receipts, a gate for submissions, a static site."""

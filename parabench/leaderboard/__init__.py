"""The leaderboard: submissions, re-scoring, ranks that are ranges, the site."""

"""What a submission must pass, whoever wrote it: a fault a line, and nothing of it believed.

Files are read within bounds (`leaderboard.bounded`) and never followed out of their folder; names
and texts are shown only after `faults.plain`. The rooms: `layout` which files there are, `facts`
what a result says, `receipts` what it returned, `originality` whose that is, `history` what may
not change. `submission` runs them all.
"""

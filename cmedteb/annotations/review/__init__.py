"""What experts say of the panel's labels: pairs out as files, grades back in.

The first pass is blind: what judges said would pull the experts towards it. Files first, a server
never: a sheet, a page that works from the disk, or tasks for Label Studio.
"""

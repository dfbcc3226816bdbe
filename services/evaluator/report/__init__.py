"""Reports: one self-contained page about a recording or a folder of them. No live session comes in here."""

"""Exports: recordings as tables and in the layouts of others. Reads recordings, changes none."""

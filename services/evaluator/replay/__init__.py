"""Recordings back into the evaluator: in process, through Redis Streams, and many at once as jobs."""

"""The coaching method and what can be decided from it: knowledge, detection, the state of a conversation.

Pure: no asyncio, socket, clock or Redis. The coach and the evaluator both build on it, so that they agree.
"""

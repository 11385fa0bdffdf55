"""The example site as its users have it: real processes, real websockets, a real browser."""

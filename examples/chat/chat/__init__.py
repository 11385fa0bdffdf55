"""The chat app: rooms, presence, and a dice worker, over the channel layer alone."""

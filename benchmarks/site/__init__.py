"""A Channels site whose consumers pass what a websocket says to all of its room."""

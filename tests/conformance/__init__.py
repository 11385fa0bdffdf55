"""The channel layer specification of Channels, run over channels' in-memory layer and ours."""

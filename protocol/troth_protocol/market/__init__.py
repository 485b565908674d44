"""The market: negotiation and delivery of signals between two agents, off the log."""

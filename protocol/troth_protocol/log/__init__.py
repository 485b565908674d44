"""What one agent promises: ops, entries, votes, certificates, and the state they act on."""

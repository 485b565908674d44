"""Troth's protocol: bytes and time in, decisions out. No sockets, no clock, no disk, no randomness."""

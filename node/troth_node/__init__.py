"""Troth's node: the effects (sockets, storage, processes) around the pure protocol library."""

"""Local swarms: real node processes on real sockets, watched by one supervisor."""

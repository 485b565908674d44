"""What the node keeps on disk: its home directory, its store, and the guard that tells an old copy from a crash."""

"""Replays: forecasts that were made elsewhere, settled by a network as if its agents had made them."""

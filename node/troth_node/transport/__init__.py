"""Links between nodes: the only package that knows libp2p. Import the modules you need; this one imports nothing.

address   peer ids and addresses as text           events    what a network tells its owner
settings  every number that may be tuned           budget    token buckets
noise     sealed sockets                           yamux     streams with bounded memory
patches   what must be changed in the library      host      the one hardened way to run a libp2p host
link      one long-lived stream with one peer      network   who is linked with whom
"""

"""The public test kit: seeded worlds of pure nodes, hostile peers, samples, and the command driven from outside."""

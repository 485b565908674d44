"""Who knew: questions, contributions, scores, the flow of emissions, credit, pools and the oracle."""

"""What the graph networks share: graphs, training, and the libraries they need."""

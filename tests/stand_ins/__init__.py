"""What the server talks to, in its place: real protocols, on this machine."""

"""What is kept: tables and queries, one module per noun."""

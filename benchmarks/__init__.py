"""What the project measures about its speed."""

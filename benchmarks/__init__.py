"""What Duckline costs beside what else there is: `make bench`. The method is in README.md."""

"""What is said of an annotation: agreement, labels, costs, drift, experts; and what none shows."""

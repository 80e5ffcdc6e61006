"""`make verify-live`: what can only be known of a deployment, measured on it. First AWS alone, then a real call."""

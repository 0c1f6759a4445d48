"""What every package stands on: it knows nothing of clips or networks."""

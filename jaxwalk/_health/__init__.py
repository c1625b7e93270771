"""What is wrong with a flow, in words: rules with thresholds, and what they find."""

"""The measure: zero-shot classification and retrieval scores from arrays; numpy only."""

"""What `scripts/ablation.py` is made of: the plan, the data, the queue, and the report."""

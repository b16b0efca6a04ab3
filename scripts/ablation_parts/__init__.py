"""What `scripts/ablation.py` is made of: the plans, the data, the queue, and the reports."""

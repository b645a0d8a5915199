"""Between two controllers: what would change if Sampan took a KServe installation over, and back.

Reads a cluster, or what was read of one, and writes only what a hand-over is. What an operator does
is in `sampan.operator`; here the same decisions are asked, and nothing is applied.
"""

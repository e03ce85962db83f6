"""Speed of mmtjax, held against what the machine can do; `python -m benchmarks.run` prints every figure."""

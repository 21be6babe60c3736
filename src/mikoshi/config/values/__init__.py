"""What single values mean: each module turns what is written into what is meant, or raises Unexpected."""

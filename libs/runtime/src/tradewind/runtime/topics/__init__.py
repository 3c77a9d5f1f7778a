"""Looking at topics from outside: what ``tradewind topics`` does. It reads without a group and disturbs nobody."""

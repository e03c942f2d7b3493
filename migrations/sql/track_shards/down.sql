DROP TABLE shard_counts;

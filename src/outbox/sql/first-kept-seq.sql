-- Rows below it were dropped with their partitions. Relies on partitions being forgotten when they are dropped.
select coalesce(min(number), 0)::bigint * 100000000000 as seq from :"schema".outbox_partition

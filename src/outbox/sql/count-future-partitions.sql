-- How many partitions are ready for the sequence to move on to.
select count(*) as future from :"schema".outbox_partition p, :"schema".outbox_seq s where p.number > s.last_value / 100000000000

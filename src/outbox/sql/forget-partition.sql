-- $1 number of a partition that was dropped.
delete from :"schema".outbox_partition where number = $1

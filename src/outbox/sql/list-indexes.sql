-- The names of all indexes that have begun: the log keeps what they have not settled.
select index_name from :"schema".index_lease
union
select index_name from :"schema".index_batch
order by 1

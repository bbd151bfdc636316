-- What keeps a partition from being dropped: see the functions. $1 number.
select sink, lane, reason from :"schema".needs_partition($1)
union all
select null, null, 'not in the index ' || index_name from :"schema".indexes_need_partition($1) index_name

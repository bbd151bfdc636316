-- What keeps a partition from being dropped: see the function. $1 number.
select sink, lane, reason from :"schema".needs_partition($1)

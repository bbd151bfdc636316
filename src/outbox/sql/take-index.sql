-- Takes an index: see the function. $1 index, $2 owner, $3 lease, ms.
select :"schema".take_index($1, $2, $3) as epoch

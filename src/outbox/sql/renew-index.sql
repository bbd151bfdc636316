-- Says that the owner of an index is alive: see the function. $1 index, $2 owner, $3 epoch, $4 lease, ms.
select :"schema".renew_index($1, $2, $3, $4) as is_owner

-- Says that a batch is in the index: see the function. $1 index, $2 owner, $3 epoch, $4 n.
select :"schema".settle_index_batch($1, $2, $3, $4) as is_owner

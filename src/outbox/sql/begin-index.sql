-- Says where an index begins: see the function. $1 index, $2 tick as JSON.
select :"schema".begin_index($1, $2) as has_begun

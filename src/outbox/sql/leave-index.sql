-- Lets go of an index: see the function. $1 index, $2 owner, $3 epoch.
select :"schema".leave_index($1, $2, $3)

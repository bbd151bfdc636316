-- Ends the life of the log and begins another: see the function. $1: { by, epochs }, JSON.
select :"schema".rebase($1::json) as answer

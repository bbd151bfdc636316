-- Writes down that a lane stands still, or goes on: see the function. $1 relay, $2 sink, $3 lane, $4 epoch, $5 reason (null: it goes on),
-- $6 found, $7 expected.
select :"schema".note_standstill($1, $2, $3::smallint, $4, $5, $6, $7)

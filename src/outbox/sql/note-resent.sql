-- Writes down that batches were sent again, because the sink forgot them. $1 sink, $2 lane, $3 from n, $4 upto n, $5 rows.
insert into :"schema".resent (sink, lane, from_n, upto_n, rows) values ($1, $2, $3, $4, $5)

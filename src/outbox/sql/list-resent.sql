-- What was sent again last, because a sink had forgotten it. $1 most.
select sink, lane, from_n, upto_n, rows, at from :"schema".resent order by id desc limit $1

-- Takes free lanes or gives up some: see the function. $1 relay, $2 sink, $3 lanes that may be given up, $4 the log's id.
select :"schema".share_lanes($1, $2, $3::smallint[], $4::uuid) as lanes

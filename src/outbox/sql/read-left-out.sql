-- Which rows a batch left out, because their key was parked. $1 sink, $2 lane, $3 n.
select seq from :"schema".parked where sink = $1 and lane = $2 and n = $3

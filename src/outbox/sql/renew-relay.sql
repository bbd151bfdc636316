-- Says that this relay is alive: see the function. $1 relay, $2 host, $3 pid, $4 lease ms.
select :"schema".renew_relay($1, $2, $3, $4)

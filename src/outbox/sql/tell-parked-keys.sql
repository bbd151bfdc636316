-- Records notifications of parked keys: see the function.
select :"schema".tell_parked_keys() as told

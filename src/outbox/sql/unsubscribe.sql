-- Ends a subscription: see the function. $1 name.
select :"schema".unsubscribe($1) as was_there

-- Registers a subscription, or changes what it asks for: see the function. $1: { name, definition, start, most }, JSON.
select :"schema".subscribe($1::json) as answer

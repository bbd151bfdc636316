-- Writes down what is about to be sent, for all lanes of a pass: see the function. $1: the request, JSON.
select :"schema".intend($1::jsonb) as answer

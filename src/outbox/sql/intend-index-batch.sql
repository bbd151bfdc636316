-- Writes down what is about to be submitted: see the function. $1 request as JSON.
select :"schema".intend_index_batch($1) as answer

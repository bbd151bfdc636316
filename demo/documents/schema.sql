-- What the application of the demo owns. Nothing in here knows Moca.

create table city (
  city_id integer primary key,
  name text not null,
  country text not null,
  population integer not null,
  longitude double precision,
  latitude double precision,
  -- Counts the changes of the row: 1 when it is created. Its events can be told apart, and put into order, by it.
  version integer not null
);

-- How many events (or jobs) of a subject have been recorded. Raising it takes the row's lock, so whatever commits was counted in commit
-- order, and without gaps: what was rolled back was not counted.
create table counter (
  subject text primary key,
  value integer not null
);

-- Each transaction writes its name, as the first thing it does. Whoever lost the answer to a COMMIT writes the same name afterwards: that
-- waits for the transaction if it still runs, and fails if and only if it has committed; else it never can any more.
create table application_transaction (
  name text primary key,
  is_given_up boolean not null default false
);

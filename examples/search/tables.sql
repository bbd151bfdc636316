create table author (id integer primary key, name text not null);
create table book (
  id integer primary key,
  author_id integer not null references author,
  title text not null,
  blurb text,
  year integer,
  language text
);

-- The search engine in PostgreSQL (docs/decisions/0056-the-search-engine-in-postgresql.md), and what search sync keeps beside the log.

-- Generations of indexes. Each has three tables of its own, named by its id, so that dropping one costs nothing and leaves nothing behind.
create table :"schema".search_generation (
  id integer generated always as identity primary key,
  index_name text not null,
  generation text not null,
  -- { searchable, filterable, sortable, facets, language }
  settings jsonb not null,
  is_live boolean not null default false,
  -- The last submission that was applied.
  epoch bigint not null default 0,
  submission bigint not null default 0,
  made_at timestamptz not null default clock_timestamp(),
  unique (index_name, generation)
) with (fillfactor = 50);

-- Queries see one generation of an index.
create unique index search_generation_live on :"schema".search_generation (index_name) where is_live;

-- Misspelt words are found by trigrams. A server without them, or that does not permit them to this user, finds words as they are spelt.
do $$ begin
  create extension if not exists pg_trgm;
exception
  when insufficient_privilege or feature_not_supported or undefined_file then
    raise notice 'pg_trgm cannot be created (%): misspelt words will not be found', sqlerrm;
end $$;

-- The schema of pg_trgm, quoted; null: the database does not have it.
create function :"schema".trigram_home() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm'
$$;
-- Makes an empty generation. Answer: false where it exists with these settings; with others it is an error.
create function :"schema".make_search_generation(given_index text, given_generation text, given_settings jsonb) returns boolean
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
#variable_conflict use_column
declare
  made integer;
  present jsonb;
  field text;
  trigrams constant text := trigram_home();
  schema_owner text;
  reader text;
begin
  set local synchronous_commit = on;
  insert into search_generation (index_name, generation, settings) values (given_index, given_generation, given_settings)
  on conflict do nothing returning id into made;
  if made is null then
    select settings into present from search_generation where index_name = given_index and generation = given_generation;
    if present = given_settings then return false; end if;
    raise exception 'generation % of index % exists with other settings', given_generation, given_index using errcode = 'object_not_in_prerequisite_state';
  end if;
  -- It must exist: an unknown language is told now, not with the first document.
  perform (given_settings ->> 'language')::regconfig;
  -- keys: what is filtered, compared and sorted by; text_rev: of the row in search_text. With room for changes beside them, which touch no index then.
  execute format('create table :"schema".search_document_%s (
    id text collate "C" primary key, rev text not null, text_rev text not null, keys jsonb not null, fields jsonb not null)
    with (fillfactor = 85)', made);
  -- title: the first searchable field, folded; words: of the texts, and marks of the filters; facets: what is counted. Apart from the values,
  -- which change more often: an index of words would take all of them in again.
  execute format('create table :"schema".search_text_%s (
    id text collate "C" primary key, text_rev text not null, title text collate "C" not null, words tsvector not null, facets jsonb not null)',
    made);
  -- A short list of what is not sorted in yet: each query reads it.
  execute format('create index on :"schema".search_text_%s using gin (words) with (fastupdate = on, gin_pending_list_limit = 256)', made);
  execute format('create index on :"schema".search_text_%s (title)', made);
  for field in
    select distinct name
    from jsonb_array_elements_text((given_settings -> 'sortable') || (given_settings -> 'filterable') || (given_settings -> 'facets')) each (name)
  loop
    execute format('create index on :"schema".search_document_%s (coalesce(keys -> %L, ''null''::jsonb), id)', made, field);
    -- Whether any document has a list there: then values are looked up by their marks.
    execute format('create index on :"schema".search_document_%1$s (id) where keys ? %2$L', made, field || '[]');
  end loop;
  -- Every word that a document has, or had.
  execute format('create table :"schema".search_word_%s (word text collate "C" primary key)', made);
  if trigrams is not null then
    execute format('create index on :"schema".search_word_%s using gin (word %s.gin_trgm_ops)', made, trigrams);
  end if;
  -- Who made them may be any member of the role that owns the schema: the others must be able to write to them, and to drop them.
  select quote_ident(pg_get_userbyid(n.nspowner)) into schema_owner from pg_namespace n
  join pg_class c on c.relnamespace = n.oid where c.oid = 'search_generation'::regclass;
  if schema_owner <> quote_ident(current_user) then
    execute format('alter table search_document_%s owner to %s', made, schema_owner);
    execute format('alter table search_text_%s owner to %s', made, schema_owner);
    execute format('alter table search_word_%s owner to %s', made, schema_owner);
  end if;
  -- Who may read the list of generations may search.
  for reader in
    select case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end
    from pg_class c cross join aclexplode(c.relacl) a
    where c.oid = 'search_generation'::regclass and a.privilege_type = 'SELECT' and a.grantee <> c.relowner
  loop
    execute format('grant select on search_document_%1$s, search_text_%1$s, search_word_%1$s to %2$s', made, reader);
  end loop;
  return true;
end
$$;

-- Makes a generation live in place of another (null: of none). Answer: whether it is; if not, the other one was not live.
create function :"schema".swap_search_generation(given_index text, from_generation text, to_generation text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
#variable_conflict use_column
declare
  present text;
begin
  set local synchronous_commit = on;
  perform from search_generation where index_name = given_index order by id for update;
  select generation into present from search_generation where index_name = given_index and is_live;
  if present is distinct from from_generation then return false; end if;
  update search_generation set is_live = false where index_name = given_index and is_live;
  update search_generation set is_live = true where index_name = given_index and generation = to_generation;
  if not found then
    raise exception 'index % has no generation %', given_index, to_generation using errcode = 'no_data_found';
  end if;
  return true;
end
$$;

-- Drops a generation, if there is one. An error where it is live.
create function :"schema".drop_search_generation(given_index text, given_generation text) returns void
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
#variable_conflict use_column
declare
  g search_generation;
begin
  select * into g from search_generation where index_name = given_index and generation = given_generation for update;
  if not found then return; end if;
  if g.is_live then
    raise exception 'generation % of index % is live', given_generation, given_index using errcode = 'object_in_use';
  end if;
  execute format('drop table if exists search_document_%1$s, search_text_%1$s, search_word_%1$s', g.id);
  delete from search_generation where id = g.id;
end
$$;

-- Puts and deletes documents, unless another writer, or a later submission of this one, was here before. One at a time for a generation.
-- seen_epoch, seen_submission: the last submission when the writer looked what the documents were; null: it did not look.
-- puts: [{ id, rev, text_rev, keys, fields, title, a, b, c, d (words, by weight), marks, facets }]; updates: [{ id, rev, keys, fields }] of
-- documents whose texts are as they were then; new_words: all words of puts that may not be known yet.
-- Answer: succeeded, superseded, overtaken, moved: something was submitted since the writer looked, or unknown: there is no such generation.
create function :"schema".submit_search_documents(
  given_index text, given_generation text, given_epoch bigint, given_submission bigint, seen_epoch bigint, seen_submission bigint,
  puts json, updates json, deleted text[], new_words text[]
) returns text
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
#variable_conflict use_column
declare
  g search_generation;
  changed bigint;
  -- An expression: the words of a column of puts, as they are written and, in a language, in their basic form.
  words_of text := 'to_tsvector(''simple'', p.%1$s)';
begin
  select * into g from search_generation where index_name = given_index and generation = given_generation for update;
  if not found then return 'unknown'; end if;
  if given_epoch < g.epoch then return 'superseded'; end if;
  if given_epoch = g.epoch and given_submission <= g.submission then return 'overtaken'; end if;
  if seen_epoch <> g.epoch or seen_submission <> g.submission then return 'moved'; end if;
  update search_generation set epoch = given_epoch, submission = given_submission where id = g.id;
  if cardinality(deleted) > 0 then
    execute format('delete from search_document_%s where id = any ($1)', g.id) using deleted;
    execute format('delete from search_text_%s where id = any ($1)', g.id) using deleted;
  end if;
  if cardinality(new_words) > 0 then
    execute format('insert into search_word_%s select unnest($1) on conflict do nothing', g.id) using new_words;
  end if;
  if json_array_length(updates) > 0 then
    execute format($update$
      update search_document_%1$s d set rev = p.rev, keys = p.keys, fields = p.fields
      from json_to_recordset($1) as p (id text, rev text, keys jsonb, fields jsonb) where d.id = p.id
    $update$, g.id) using updates;
    get diagnostics changed = row_count;
    if changed <> json_array_length(updates) then
      raise exception 'documents of index % disappeared while others were submitted', given_index using errcode = 'no_data_found';
    end if;
  end if;
  if json_array_length(puts) = 0 then return 'succeeded'; end if;
  if g.settings ->> 'language' <> 'simple' then
    words_of := words_of || format(' || to_tsvector(%L, p.%%1$s)', g.settings ->> 'language');
  end if;
  execute format($put$
    with puts as materialized (
      select * from json_to_recordset($1) as p (
        id text, rev text, text_rev text, keys jsonb, fields jsonb, title text, a text, b text, c text, d text, marks text[], facets jsonb)
    ), documents as (
      insert into search_document_%1$s (id, rev, text_rev, keys, fields) select id, rev, text_rev, keys, fields from puts
      on conflict (id) do update set rev = excluded.rev, text_rev = excluded.text_rev, keys = excluded.keys, fields = excluded.fields
    )
    insert into search_text_%1$s (id, text_rev, title, words, facets)
    select p.id, p.text_rev, p.title, setweight(%2$s, 'A') || setweight(%3$s, 'B') || setweight(%4$s, 'C') || %5$s || array_to_tsvector(p.marks), p.facets
    from puts p
    on conflict (id) do update set text_rev = excluded.text_rev, title = excluded.title, words = excluded.words, facets = excluded.facets
  $put$, g.id, format(words_of, 'a'), format(words_of, 'b'), format(words_of, 'c'), format(words_of, 'd')) using puts;
  return 'succeeded';
end
$$;

-- Which of these words a generation knows (word), or begins others with (beginning); both false: nobody wrote it so.
create function :"schema".look_up_words(generation_id integer, given text[])
returns table (nth integer, is_known boolean, is_beginning boolean)
language plpgsql stable
set search_path = pg_catalog, :"schema", pg_temp
as $$
begin
  return query execute format($look$
    select g.nth::integer, exists (select from search_word_%1$s w where w.word = g.word),
      exists (select from search_word_%1$s w where w.word > g.word and w.word < g.word || U&'\+10FFFF')
    from (select each.word collate "C" as word, each.nth from unnest($1) with ordinality as each (word, nth)) g
  $look$, generation_id) using given;
end
$$;

-- Words that look like one: with the most trigrams in common, most alike first. None without pg_trgm.
create function :"schema".find_similar_words(generation_id integer, given text, most integer) returns setof text
language plpgsql stable
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  trigrams constant text := trigram_home();
begin
  if trigrams is null then return; end if;
  -- Two letters in each other's place leave a word of five a fifth of its trigrams.
  perform set_config('pg_trgm.similarity_threshold', '0.2', true);
  return query execute format(
    'select w.word from search_word_%1$s w where w.word operator(%2$s.%%) $1 order by %2$s.similarity(w.word, $1) desc, w.word limit $2',
    generation_id, trigrams) using given, most;
end
$$;

-- Documents that an index must look at again, though the log does not say so: those that embed one that changed, and those that an
-- operator or a check asked for. And documents that cannot be indexed: parked, until they change or somebody asks.
create table :"schema".search_dirty (
  -- The position's: `<index>/<generation>`.
  index_name text not null,
  docname text not null,
  -- Which marking this is: a row goes only if it was not marked again meanwhile.
  mark bigint not null generated by default as identity,
  since timestamptz not null default clock_timestamp(),
  -- Null: not parked.
  parked_at timestamptz,
  error text,
  primary key (index_name, docname)
) with (fillfactor = 70);

create index search_dirty_next on :"schema".search_dirty (index_name, mark) where parked_at is null;

-- A rebuild that is under way, at most one of an index. It owns the lease of its shadow's position.
create table :"schema".search_rebuild (
  index_name text primary key,
  generation text not null,
  -- Of the definition: with another one it begins anew.
  definition text not null,
  -- Who works, or worked, on it.
  owner text not null,
  -- The last document that was read, as the key of its table names it. Null: none.
  after_docname text,
  documents bigint not null default 0,
  -- By the table's statistics.
  expected bigint,
  is_copied boolean not null default false,
  -- The live index is asked for: its writer lets go of it, so that it can be replaced.
  wants_live boolean not null default false,
  began_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

-- Indexes that cannot be built or brought on, though somebody tries: for people.
create table :"schema".search_standstill (
  index_name text primary key,
  reason text not null,
  since timestamptz not null default clock_timestamp(),
  tried_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

-- How rebuilds ended: for people.
create table :"schema".search_rebuilt (
  index_name text primary key,
  generation text not null,
  definition text not null,
  documents bigint not null,
  began_at timestamptz not null,
  ended_at timestamptz not null default clock_timestamp()
);

revoke execute on all functions in schema :"schema" from public;
grant execute on function :"schema".record(text) to public;
-- They read with the rights of who calls them.
grant execute on function
  :"schema".trigram_home(), :"schema".look_up_words(integer, text[]), :"schema".find_similar_words(integer, text, integer)
to public;

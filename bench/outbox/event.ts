/** What writers record, the same for every system: about 200 bytes of JSON as the data of an event. */
export const topic = 'bench.orders'
export const eventType = 'order.changed'
const filling = 'Order 4711 is ready to ship. '.repeat(6).slice(0, 170)

/**
 * The SQL function by which writers record in their transaction: events of the given keys, `ns` their numbers within the key, and from
 * `first_i` on their numbers within the measurement. `body`: one statement that records them.
 */
export function recordFunction(body: string): string {
  return `
create function record_events(keys text[], ns bigint[], first_i bigint) returns void
language plpgsql volatile
as $$
begin
  ${body};
end
$$`
}

/** The rows `e (key, n, i, text)` of a call. */
export const eventRows = `(
    select key, n, first_i + nth - 1 as i, '${filling}'::text as text
    from unnest(keys, ns) with ordinality as of_list (key, n, nth)
  ) e`

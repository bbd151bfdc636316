import { Client } from 'pg'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { prepareDatabase } from '../scene.ts'

/**
 * What recording costs, measured inside PostgreSQL: the time of calls of `moca.record` alone, each in a transaction of its own that is
 * committed after it. The text that is recorded is made before. Beside the time, which counts whoever else wants the processor, the CPU
 * that the server's process used, with the commits.
 */
export const record: Scenario = {
  name: 'record',
  title: 'moca.record, time inside PostgreSQL',
  metrics: [
    { name: 'batch', title: '100 events a call', unit: 'us/event' },
    { name: 'single', title: 'one event a call', unit: 'us/event' },
  ],
  systems: ['moca'],
  run: measure,
}

const batchSize = 100
const eventsOfEach = 20_000

async function measure(context: ScenarioContext): Promise<Sample> {
  const events = eventsOfEach / (context.isQuick ? 10 : 1)
  await prepareDatabase(context, events)
  const client = new Client({ connectionString: context.place.databaseUrl })
  await client.connect()
  try {
    await client.query(procedure)
    await timeCalls(client, context, events / batchSize / 2, batchSize) // plans are made and pages are there
    const batch = await timeCalls(client, context, events / batchSize, batchSize)
    const single = await timeCalls(client, context, events, 1)
    return {
      metrics: { batch: mean(batch.us), single: mean(single.us) },
      facts: { batchCpuUs: batch.cpuUs, batchLeastUs: Math.min(...batch.us), singleCpuUs: single.cpuUs },
      series: { batchUs: batch.us, singleUs: single.us },
    }
  } finally {
    await client.end()
  }
}

/** Microseconds per event: of each call, and of CPU over all of them. */
async function timeCalls(client: Client, { postgres }: ScenarioContext, calls: number, size: number) {
  const { rows: backend } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const pid = backend[0]?.pid ?? 0
  const fromMs = postgres.connectionCpuMs(pid)
  const { rows } = await client.query<{ us: number[] }>('call time_record($1, $2, null)', [calls, size])
  const cpuUs = ((postgres.connectionCpuMs(pid) - fromMs) * 1000) / (calls * size)
  return { us: (rows[0]?.us ?? []).map((us) => us / size), cpuUs }
}

const procedure = `
create procedure time_record(calls integer, size integer, inout us double precision[])
language plpgsql
as $$
declare
  request text;
  began timestamptz;
begin
  us := '{}';
  select make_request(array_agg('k' || each), array_agg(each), 0) into request from generate_series(1, size) each;
  for nth in 1..calls loop
    began := clock_timestamp();
    perform moca.record(request);
    us := us || extract(epoch from clock_timestamp() - began)::double precision * 1e6;
    commit;
  end loop;
end
$$`

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

import type { OutboxStatus } from '../outbox/outbox-status.ts'
import { type Diagnosis, note } from './diagnosis.ts'

/** What sinks had forgotten, and relays sent again. Subscribers that are not idempotent may have seen it twice. */
export function checkResent({ resent }: OutboxStatus): Diagnosis[] {
  const sinks = [...new Set(resent.map(({ sink }) => sink))]
  return sinks.map((sink) => {
    const own = resent.filter((each) => each.sink === sink)
    const rows = own.reduce((sum, each) => sum + each.rows, 0)
    const last = own
      .map(({ at }) => at.toISOString())
      .toSorted()
      .at(-1)
    return note(
      `Sink ${sink} forgot ${rows} rows, and relays sent them again, last at ${last}.`,
      'Nothing is lost. See what Redis keeps on its disk (persistence).',
    )
  })
}

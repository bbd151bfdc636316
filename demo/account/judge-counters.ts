import type { Place } from '../raw-walk.ts'
import type { AcceptedJob } from './accepted-jobs.ts'
import type { Evidence, Facts } from './evidence.ts'
import type { Problem } from './problem.ts'

/** Moca's counters against the journals, the ledgers and the raw walk. */
export function judgeCounters({ walk, counts }: Evidence, facts: Facts): Problem[] {
  const problems: Problem[] = []
  const known = [...facts.jobs.values()].filter(({ id }) => !facts.forgotten.has(id))
  const isDone = ({ id }: AcceptedJob) => facts.successes.has(id) && !facts.places.has(id)
  for (const { name, counters, places } of walk.queues) {
    const check = (what: string, expected: number, found: number) => {
      if (expected === found) return
      problems.push({ kind: 'count', id: `${name}: ${what}`, expected: String(expected), found: String(found) })
    }
    const count = (counter: string) => counters[counter] ?? 0
    const ofQueue = known.filter((job) => job.queue === name)
    const { accepted = 0, completed = 0 } = facts.indirect.get(name) ?? {}
    check('accepted by Moca, of those in the journals', ofQueue.length + accepted, count('accepted'))
    check('completed by Moca, of those in the ledgers', ofQueue.filter(isDone).length + completed, count('completed'))
    const inRedis = Object.values(places).reduce((sum, n) => sum + n, 0)
    const ended = count('completed') + count('cancelled') + count('expired') + count('purged')
    check('in a place or ended, of those accepted', count('accepted'), inRedis + ended)
    for (const place of Object.keys(places) as Place[]) {
      check(`${place} by Moca, of those in that place`, places[place], counts[name]?.[place] ?? 0)
    }
  }
  return problems
}

import { setTimeout as sleep } from 'node:timers/promises'
import { Arena } from '../arena.ts'
import type { Outcome, Scenario, Size } from '../scenario.ts'

export const killConnections: Scenario = {
  name: 'kill-connections',
  title: 'Connections are killed',
  text: 'CLIENT KILL of a random connection of a random worker (reading, working, keeper, wake-up) under load, now and then with SCRIPT FLUSH beside it. Commands are cut off before, while and after the server ran them. Nothing may be lost or run twice; the same processes go on by themselves.',
  run,
}

async function run(size: Size, seed: number, count = size === 'full' ? 200 : 15): Promise<Outcome> {
  const arena = await Arena.open({ seed, load: { outstanding: 250, longestMs: 60, longShare: 0.002 } })
  try {
    const members = await arena.fleet.startMany(2)
    arena.startLoad()
    const killed: Record<string, number> = { read: 0, work: 0, keeper: 0, wake: 0 }
    let flushes = 0
    for (let done = 0; done < count; ) {
      await sleep(arena.random.between(20, 250)) // moments of chance are the point
      if (arena.random.chance(0.1)) {
        await arena.raw.send('SCRIPT', 'FLUSH')
        flushes++
      }
      const connections = await workerConnections(arena)
      if (connections.length === 0) continue
      const { id, role } = arena.random.pick(connections)
      if ((await arena.raw.send<number>('CLIENT', 'KILL', 'ID', id)) === 0) continue
      killed[role] = (killed[role] ?? 0) + 1
      done++
    }
    await arena.goOn(members)
    const verdict = await arena.finish()
    const rescued = await arena.counter('rescued')
    const stale = await arena.counter('stale')
    const problems = rescued > 0 ? [`${rescued} jobs were rescued from living workers`] : []
    const { read = 0, work = 0, keeper = 0, wake = 0 } = killed
    // An outcome whose answer was cut off is sent again, and found settled: counted as stale, and no news.
    const facts = {
      kills: count,
      read,
      work,
      keeper,
      wake,
      scriptFlushes: flushes,
      rescued,
      outcomesFoundSettled: stale,
    }
    return { facts, verdict, problems }
  } finally {
    await arena.close()
  }
}

async function workerConnections(arena: Arena): Promise<{ id: string; role: string }[]> {
  const list = await arena.raw.send<string>('CLIENT', 'LIST')
  return list.split('\n').flatMap((line) => {
    const id = /^id=(\d+)/.exec(line)?.[1]
    const role = /name=moca:\S+:(read|work|keeper|wake)\b/.exec(line)?.[1]
    return id !== undefined && role !== undefined ? [{ id, role }] : []
  })
}

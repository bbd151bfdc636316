import { cp, readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '../../support/wait-for.ts'
import { Arena } from '../arena.ts'
import { monotonicUs } from '../ledger.ts'
import type { Outcome, Scenario, Size } from '../scenario.ts'

export const restartRedisAlways: Scenario = {
  name: 'restart-redis-always',
  title: 'Redis is killed and restarted, appendfsync always',
  text: 'SIGKILL of Redis under load, away for up to two leases, then started again on its files. Producers repeat unanswered calls under their idempotency keys. Nothing may be lost, nothing may run twice, and the same processes go on by themselves.',
  run: (size, seed, count = size === 'full' ? 25 : 1) =>
    run({ seed, count, size, fault: killAndRestart, fsync: 'always' }),
}

export const restartRedisEverysec: Scenario = {
  name: 'restart-redis-everysec',
  title: 'Redis loses the last second, appendfsync everysec',
  text: 'SIGKILL of Redis under load, and the end of its append-only file, as much as was written in the last second, is cut off, as a power cut may leave it. What Redis forgot may be lost or run again: but Moca says that jobs were lost, at least as many as are missing, and the same processes go on by themselves.',
  run: (size, seed, count = size === 'full' ? 15 : 1) =>
    run({ seed, count, size, fault: loseLastSecond, fsync: 'everysec' }),
}

export const restartRedisOlder: Scenario = {
  name: 'restart-redis-older',
  title: 'Redis is put back to an older file',
  text: 'SIGKILL of Redis under load, and a copy of its files from two to four seconds ago is put in their place. As above: the loss is told, fences grow, nothing that Redis still knows is lost, and the same processes go on by themselves.',
  run: (size, seed, count = size === 'full' ? 10 : 1) => run({ seed, count, size, fault: putBack, fsync: 'always' }),
}

interface Play {
  readonly seed: number
  readonly count: number
  readonly size: Size
  readonly fsync: 'always' | 'everysec'
  /** Kills Redis and prepares its files; resolves with what it forgets from (undefined: nothing). */
  readonly fault: (arena: Arena) => Promise<number | undefined>
}

async function run({ seed, count, size, fault, fsync }: Play): Promise<Outcome> {
  const arena = await Arena.open({
    seed,
    // One file from the beginning to the end, or its end could not be cut off.
    redis: { fsync, args: ['--auto-aof-rewrite-percentage', '0'] },
    load: { outstanding: 200, longShare: size === 'full' ? 0.002 : 0, isPersistent: true },
  })
  try {
    const members = await arena.fleet.startMany(2)
    arena.startLoad()
    const outagesMs: number[] = []
    const problems: string[] = []
    for (let n = 0; n < count; n++) {
      await sleep(arena.random.between(300, 1_500)) // moments of chance are the point
      const sinceUs = await fault(arena)
      const untilUs = monotonicUs()
      const outageMs = arena.random.between(0, arena.leaseMs * 2)
      await sleep(outageMs) // the outage itself
      await arena.redis.start()
      if (sinceUs !== undefined) arena.forgot({ sinceUs, untilUs })
      outagesMs.push(Math.round(outageMs))
      await arena.goOn(members)
    }
    const verdict = await arena.finish()
    const reported = await arena.reportedLost()
    if (reported < verdict.counts.forgotten)
      problems.push(`Moca told of ${reported} lost jobs; ${verdict.counts.forgotten} are missing`)
    if (fault !== killAndRestart && reported === 0) problems.push('nothing was forgotten')
    if (fault === killAndRestart && reported > 0) problems.push(`Moca told of ${reported} lost jobs; none can be`)
    const facts = {
      restarts: count,
      longestOutageMs: Math.max(...outagesMs),
      callsRepeated: arena.load.repeated,
      reportedLost: reported,
      rescued: await arena.counter('rescued'),
    }
    return { facts, verdict, problems }
  } finally {
    await arena.close()
  }
}

async function killAndRestart(arena: Arena): Promise<undefined> {
  await arena.redis.kill('SIGKILL')
}

async function loseLastSecond(arena: Arena): Promise<number> {
  const file = await appendedFile(arena)
  const { size } = await stat(file)
  const sinceUs = monotonicUs()
  const end = await writtenUpTo(arena, file, size)
  await sleep(1_000) // the second that is lost
  await arena.redis.kill('SIGKILL')
  await truncate(file, end)
  return sinceUs
}

/** A size of the file at which everything is in it that was answered up to now: Redis may keep back what it writes. */
async function writtenUpTo(arena: Arena, file: string, from: number): Promise<number> {
  const mark = `mark-${from}`
  await arena.raw.send('SET', 'chaos:mark', mark)
  return waitFor(
    async () => {
      const text = await readFile(file)
      return text.includes(mark, from) ? text.length : undefined
    },
    { timeoutMs: 20_000, describe: 'what was answered to be in the file' },
  )
}

async function putBack(arena: Arena): Promise<number> {
  const { dir } = arena.redis
  const files = join(dir, 'appendonlydir')
  const copy = join(dir, 'older')
  const sinceUs = monotonicUs()
  await cp(files, copy, { recursive: true })
  await sleep(arena.random.between(2_000, 4_000)) // what is lost
  await arena.redis.kill('SIGKILL')
  await rm(files, { recursive: true })
  await cp(copy, files, { recursive: true })
  await rm(copy, { recursive: true })
  return sinceUs
}

async function appendedFile(arena: Arena): Promise<string> {
  const dir = join(arena.redis.dir, 'appendonlydir')
  const name = await waitFor(async () => (await readdir(dir)).findLast((file) => file.endsWith('.incr.aof')))
  return join(dir, name)
}

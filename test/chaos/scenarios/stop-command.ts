import { setTimeout as sleep } from 'node:timers/promises'
import { Arena } from '../arena.ts'
import type { Member } from '../fleet.ts'
import { type Outcome, type Scenario, type Size, spread } from '../scenario.ts'

/** Long enough for a second signal to come while jobs end in peace. */
const SOFT_MS = 1_000
/** What a process may take that is to end at once, on a machine that is busy with this very run. */
const AT_ONCE_MS = 1_000

export const stopCommand: Scenario = {
  name: 'stop-command',
  title: '`moca worker start` is told to stop, once or twice',
  text: 'Workers are processes of `moca worker start`; loaded ones get SIGTERM or SIGINT. First once: the process ends with exit code 0, and nothing has to be rescued. Then twice, the second signal at a random moment while jobs are still ending: the process ends at once with exit code 130, whatever runs in it. What it held is taken over like that of a killed worker: nothing is lost.',
  run,
}

async function run(size: Size, seed: number, count = size === 'full' ? 20 : 1): Promise<Outcome> {
  const arena = await Arena.open({
    seed,
    load: { outstanding: 200, longestMs: 600, longShare: 0 },
    worker: { softTimeout: SOFT_MS },
  })
  try {
    await startWorking(arena, 2)
    const problems: string[] = []
    for (let n = 0; n < count; n++) {
      const member = await relieved(arena)
      stop(arena, member)
      await member.gone()
      if (member.exitCode !== 0) problems.push(`a stopped worker ended with exit code ${member.exitCode}`)
    }
    const rescuedAfterOne = await arena.counter('rescued')
    if (rescuedAfterOne > 0) problems.push(`${rescuedAfterOne} jobs had to be rescued after orderly stops`)
    const heldAtEnd: number[] = []
    const endMs: number[] = []
    let tooLate = 0
    while (endMs.length < count && tooLate <= count) {
      const member = await relieved(arena)
      stop(arena, member)
      await sleep(arena.random.between(0, SOFT_MS / 4)) // moments of chance are the point
      const held = member.unfinished().length
      const from = performance.now()
      stop(arena, member)
      await member.gone()
      if (member.exitCode === 0 && member.unfinished().length === 0) {
        // All that it had was done before the second signal came: this was an orderly stop.
        tooLate++
        continue
      }
      heldAtEnd.push(held)
      endMs.push(Math.round(performance.now() - from))
      if (member.exitCode !== 130) problems.push(`a worker stopped twice ended with exit code ${member.exitCode}`)
    }
    const verdict = await arena.finish()
    const rescued = await arena.counter('rescued')
    if (endMs.length < count) problems.push(`only ${endMs.length} second signals came while something ran`)
    if (Math.max(...endMs) > AT_ONCE_MS) problems.push(`after a second signal it took ${Math.max(...endMs)} ms to end`)
    if (rescued === 0) problems.push('nothing had to be rescued after second signals')
    const facts = {
      stops: count,
      stopsByTwoSignals: endMs.length,
      secondSignalsTooLate: tooLate,
      ...spread('held', heldAtEnd),
      ...spread('endMs', endMs),
      rescuedAfterOneSignal: rescuedAfterOne,
      rescuedAfterTwo: rescued - rescuedAfterOne,
    }
    return { facts, verdict, problems }
  } finally {
    await arena.close()
  }
}

async function startWorking(arena: Arena, workers: number): Promise<void> {
  const members = Array.from({ length: workers }, () => arena.fleet.startCommand())
  arena.startLoad()
  await arena.goOn(members)
}

/** A loaded worker, when another is there to take its place. */
async function relieved(arena: Arena): Promise<Member> {
  const successor = arena.fleet.startCommand()
  await arena.goOn([successor])
  await sleep(arena.random.between(100, 500)) // moments of chance are the point
  return arena.random.pick(arena.fleet.alive.filter(({ pid }) => pid !== successor.pid))
}

function stop(arena: Arena, member: Member): void {
  member.stop(arena.random.pick(['SIGTERM', 'SIGINT'] as const))
}

import type { ScriptName } from '../../src/queue/scripts.ts'
import { placesOf } from './invariants.ts'
import type { Picture } from './picture.ts'
import type { ScriptScene } from './script-scene.ts'
import { must } from './violation.ts'

// Every redis.call of every script is made to fail in turn. Redis undoes nothing: what a script wrote before it failed stays. So
// whatever it was doing, no accepted job may be in no place; and the queue must go on, whether the caller sends the same again (as a
// worker does) or dies.

/** A call of a script in a state in which it has something to do. */
export interface FailingCase {
  readonly name: string
  readonly script: ScriptName
  /** Brings the state about. */
  readonly prepare: (scene: ScriptScene) => Promise<PreparedCall>
}

export interface PreparedCall {
  readonly header: object
  readonly args?: readonly string[]
  /** Ids of the jobs that the call ends, as it should. All others must run afterwards, or be dead. */
  readonly ends?: readonly string[]
  /** Ids of the jobs that it brings: once it was sent again, they are there. */
  readonly brings?: readonly string[]
  /** For settle: what a worker sends after the failure, told as sent again. All must be counted then. */
  readonly again?: readonly string[] | undefined
}

/** The site of every count. */
const COUNT = 'prelude: local function count(q, name, n) call("HINCRBY", base(q) .. ":n", name, n) end'

type GoesOn = 'sent again' | 'caller dies'

/** Runs a case once for each of its calls, which fails, in both ways on. Returns the sites of the calls that failed. */
export async function failEachCall(scene: ScriptScene, failing: FailingCase): Promise<Set<string>> {
  const sites = new Set<string>()
  // A sweep is sent again by whoever is alive, and so is a batch of an outbox.
  const isTakenOver = failing.script === 'rescue' || failing.script === 'relay'
  const ways: readonly GoesOn[] = isTakenOver ? ['sent again'] : ['sent again', 'caller dies']
  for (const goesOn of ways) {
    for (let call = 1; ; call++) {
      const site = await failOneCall(scene, failing, call, goesOn)
      if (site === undefined) break
      sites.add(site)
    }
  }
  return sites
}

async function failOneCall(
  scene: ScriptScene,
  { name, script, prepare }: FailingCase,
  call: number,
  goesOn: GoesOn,
): Promise<string | undefined> {
  const { namespace } = scene
  await scene.reset()
  const { header, args = [], ends = [], brings = [], again } = await prepare(scene)
  const before = await namespace.look()
  namespace.failingCall = call
  await namespace.run(script, header, args).catch(ignorePlanned)
  namespace.failingCall = 0
  const after = await namespace.look()
  if (after.failed === undefined) return undefined

  const where = `${name}, call ${call} failed (${after.failed}), ${goesOn}`
  const safe = [...placesOf(before).keys()].filter((id) => !ends.includes(id))
  mustHoldAll(safe, after, where)
  if (goesOn === 'sent again') {
    if (again) await namespace.run(script, { ...header, lists: [], m: again.length, h: undefined }, again)
    else await namespace.run(script, header, args)
  }
  const run = await finish(scene, where)
  await mustLeaveNothing(scene, goesOn, where)
  // A count that fails cannot be made up for: nobody knows whether it was made.
  if (goesOn === 'sent again' && again && after.failed !== COUNT) mustAccount(await namespace.look(), where)
  const { dead, notes } = await namespace.look()
  const noted = new Set(notes.map(([id]) => id))
  for (const id of dead.keys()) {
    if (before.dead.has(id)) continue
    must('a death is noted', noted.has(id), () => `${where}: nobody is told that ${id} died`)
  }
  if (goesOn === 'sent again') safe.push(...brings)
  for (const id of safe) must('no job is lost', run.has(id) || dead.has(id), () => `${where}: ${id} never ran`)
  return after.failed
}

/** A failure may leave a job twice, which then ends twice: never may one be missing. */
function mustAccount({ counters, dead }: Picture, where: string): void {
  const at = (name: string) => counters.get(name) ?? 0
  const ended = at('completed') + at('cancelled') + at('expired') + dead.size
  must(
    'accepted is accounted for',
    ended >= at('accepted'),
    () => `${where}: accepted ${at('accepted')}, ended ${ended}`,
  )
}

/** The error of the call that fails, or whatever a script makes of it. */
function ignorePlanned(error: Error): void {
  if (!/PLANNED/.test(error.message)) throw error
}

function mustHoldAll(ids: readonly string[], after: Picture, where: string): void {
  const places = placesOf(after)
  for (const id of ids) must('no job is lost', places.has(id), () => `${where}: ${id} is nowhere`)
}

/** Lets all workers die, and others do what is left. Nothing may stay behind but dead letters. Returns what ran. */
async function finish(scene: ScriptScene, where: string): Promise<Set<string>> {
  const run = new Set<string>()
  const { namespace } = scene
  for (let round = 0; ; round++) {
    const { entries, later, gates, ghosts, slots, dead } = await namespace.look()
    // Dead letters that keep their keys.
    const keeping = [...slots.values()].filter((id) => dead.has(id))
    if (entries.length + later.size + gates.size + ghosts.length + keeping.length === 0) break
    must('the queue goes on', round < 20, () => {
      return `${where}: left are ${JSON.stringify({ entries, later: [...later], gates: [...gates], ghosts })}`
    })
    await namespace.age(entries.flatMap(({ letter, entry, owner }) => (owner ? [{ letter, entry, owner }] : [])))
    scene.pass(1_000_000_000)
    // What is pending without an entry cannot be made older than it is: a ms.
    await scene.sweep({ letters: ['m', 'f', 's', 'a', 'tx', 'ty'], leaseMs: 1 })
    await scene.promote()
    for (const id of keeping) await scene.move('retry', id)
    for (const letter of ['m', 'f', 's', 'a', 'tx', 'ty']) {
      for (const held of await scene.read('z', letter, 100)) {
        run.add(held.id)
        await scene.settle(held, { r: 'completed' })
      }
    }
  }
  return run
}

/**
 * Whoever sends the same again cleans up after the failure. Where nobody does, there may remain a note that leads to an entry which
 * is gone, and of a dead letter that an operator moved its name, or its record, which can be purged.
 */
async function mustLeaveNothing(scene: ScriptScene, goesOn: GoesOn, where: string): Promise<void> {
  const { slots, where: notes, records, dead } = await scene.namespace.look()
  const orphans = [...records.keys()].filter((id) => !dead.has(id))
  must('nothing is left behind', slots.size === 0, () => `${where}: ${JSON.stringify([...slots])}`)
  if (goesOn === 'sent again') {
    must(
      'nothing is left behind',
      notes.size + orphans.length === 0,
      () => `${where}: ${[...notes.keys(), ...orphans]}`,
    )
    return
  }
  for (const id of orphans) await scene.move('purge', id)
  const { records: left } = await scene.namespace.look()
  must(
    'nothing is left behind',
    [...left.keys()].every((id) => dead.has(id)),
    () => `${where}: ${[...left.keys()]}`,
  )
}

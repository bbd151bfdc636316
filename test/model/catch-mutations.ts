import { failEachCall } from './failing-calls.ts'
import { FAILING_CASES } from './failing-cases.ts'
import { type Mutation, plant } from './mutations.ts'
import { Database } from './namespace-under-test.ts'
import { patchedScripts } from './patched-scripts.ts'
import { runWalks } from './random-walks.ts'
import { ScriptScene } from './script-scene.ts'
import { Violation } from './violation.ts'

const LANES = 3

/** The seed and length of the walks that catch every mutation, and find nothing in the scripts as they are. */
const SEED = 1
export const STEPS = 10_000

/** Random walks on scripts with a planted fault, or none; the violation that they find. */
export async function walkWith(url: string, mutation?: Mutation): Promise<Violation | undefined> {
  const scripts = patchedScripts(mutation && plant(mutation))
  const databases = await Promise.all(Array.from({ length: LANES }, (_, lane) => Database.open(url, lane, scripts)))
  try {
    const { found } = await runWalks({ databases, seed: SEED, steps: STEPS })
    return found?.violation
  } finally {
    for (const database of databases) database.close()
  }
}

/** Makes each call of scripts with a planted fault fail; the violation that this shows. */
export async function failCallsWith(mutation: Mutation): Promise<Violation | undefined> {
  await using scene = await ScriptScene.open(patchedScripts(plant(mutation)))
  try {
    for (const failing of FAILING_CASES) await failEachCall(scene, failing)
  } catch (error) {
    if (error instanceof Violation) return error
    throw error
  }
  return undefined
}

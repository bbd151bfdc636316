import type { NamespaceUnderTest } from './namespace-under-test.ts'
import type { ServerModel } from './server-model.ts'
import type { Step } from './steps.ts'
import type { World } from './world.ts'

/** What a step acts on: the server, what the model says of it, and the world around it. */
export interface Stage {
  readonly namespace: NamespaceUnderTest
  readonly model: ServerModel
  readonly world: World
  /** Id of the server's life, and what tells it from others. */
  readonly boot: string
  readonly pair: string
}

export type StepOf<Kind extends Step['do']> = Extract<Step, { do: Kind }>

/** The program of every child process: waits for the name of a task, runs it, sends its result and exits. */
import { enableCompileCache } from 'node:module'
import { type ChildMessage, type ChildTask, Inbox, type ParentLink } from './child.ts'

enableCompileCache() // A child that is started anew within a measurement does not read TypeScript again.

const inbox = new Inbox()
const parent: ParentLink = {
  send: (value) => void process.send?.({ kind: 'message', value } satisfies ChildMessage),
  receive: () => inbox.take(),
}

process.on('disconnect', () => process.exit(1)) // Nobody is left to report to.
process.on('message', (message: ChildMessage) => {
  if (message.kind === 'message') inbox.put(message.value)
  if (message.kind === 'task') void perform(message.module, message.task, message.args)
})

async function perform(module: string, task: string, args: unknown): Promise<void> {
  const answer = await attempt(module, task, args)
  process.send?.(answer, () => process.exit(answer.kind === 'result' ? 0 : 1))
}

async function attempt(module: string, task: string, args: unknown): Promise<ChildMessage> {
  try {
    const tasks = (await import(module)) as Record<string, ChildTask<unknown, unknown>>
    const run = tasks[task]
    if (!run) throw new Error(`${module} exports no ${task}`)
    return { kind: 'result', value: await run(args, parent) }
  } catch (error) {
    return { kind: 'error', stack: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

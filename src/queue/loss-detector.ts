import type { Logger } from '../logger.ts'
import type { NamespaceConnection } from './namespace.ts'
import { loadScripts } from './scripts.ts'

/** The highest count of accepted jobs of a queue that a process has seen the server confirm in one life of it. */
interface Mark {
  readonly queue: string
  readonly bootId: string
  accepted: number
  at: number
}

export interface Loss {
  readonly queue: string
  /** Jobs that the server had accepted and does not know any more. At least so many: exact when the process that saw most reports. */
  readonly lost: number
  /** The lost ones were accepted after this instant ... */
  readonly from: Date
  /** ... and not later than this (server's clock, ms precision). */
  readonly to: Date
}

interface Boot {
  id: string
  accepted: Record<string, [count: number, at: number]>
}

/**
 * Notices that the server forgot jobs that it had accepted. What survives a crash, failover or restore is a prefix of what was
 * accepted; so on a new life of the server a process compares the highest count it was told with the count that the server noted
 * in `boots` at the beginning of the life *after its own*: later lives have counted new jobs on top (attack 5).
 */
export class LossDetector {
  readonly #marks = new Map<string, Mark>()
  #seenMs = 0
  readonly #log: Logger
  readonly #onLoss: (loss: Loss) => void

  constructor(log: Logger, onLoss: (loss: Loss) => void = () => {}) {
    this.#log = log
    this.#onLoss = onLoss
  }

  /** The highest instant of the server's clock that this process was told, ms; 0 = none. */
  get seenMs(): number {
    return this.#seenMs
  }

  /** Call with instants that the server tells. */
  sawTime(ms: number): void {
    this.#seenMs = Math.max(this.#seenMs, ms)
  }

  /** Call with every count that the server confirms. */
  saw(queue: string, bootId: string, accepted: number, at: number): void {
    this.sawTime(at)
    const name = `${queue} ${bootId}`
    const mark = this.#marks.get(name)
    if (!mark) this.#marks.set(name, { queue, bootId, accepted, at })
    else if (accepted > mark.accepted) {
      mark.accepted = accepted
      mark.at = at
    }
  }

  /** Call on every connection that was opened, before anything else is sent on it. Returns what is missing. */
  async compare(open: NamespaceConnection): Promise<Loss[]> {
    const older = [...this.#marks].filter(([, mark]) => mark.bootId !== open.bootId)
    if (older.length === 0) return []
    // Taken out first: another connection of this process may be opening at the same time.
    for (const [name] of older) this.#marks.delete(name)
    const left = new Set(older.map(([, mark]) => mark))
    const losses: Loss[] = []
    try {
      const boots = await readBoots(open)
      for (const mark of left) {
        const loss = await this.#compareMark(open, boots, mark)
        left.delete(mark)
        if (loss) losses.push(loss)
      }
      return losses
    } catch (error) {
      // Not by `set`: a late reply of that life may have brought a higher mark meanwhile.
      for (const { queue, bootId, accepted, at } of left) this.saw(queue, bootId, accepted, at)
      throw error
    }
  }

  async #compareMark(open: NamespaceConnection, boots: readonly Boot[], mark: Mark): Promise<Loss | undefined> {
    const next = bootAfter(boots, mark.bootId, open.bootId)
    const [accepted, at] = next?.accepted[mark.queue] ?? [0, 0]
    if (!next || mark.accepted <= accepted) return undefined
    const loss = { queue: mark.queue, lost: mark.accepted - accepted, from: new Date(at), to: new Date(mark.at) }
    await this.#report(open, next.id, loss)
    return loss
  }

  async #report(open: NamespaceConnection, boot: string, loss: Loss): Promise<void> {
    const header = JSON.stringify({
      boot,
      q: loss.queue,
      lost: loss.lost,
      from: loss.from.getTime(),
      to: loss.to.getTime(),
    })
    const known = await open.connection.run<string>(loadScripts().lose, open.prefix, [header])
    const facts = { queue: loss.queue, lost: loss.lost, from: loss.from, to: loss.to, boot }
    if (known === 'new') this.#log.error(facts, `Redis forgot ${loss.lost} accepted jobs of queue ${loss.queue}`)
    try {
      this.#onLoss(loss)
    } catch (error) {
      this.#log.error({ error: String(error) }, 'onLoss threw') // the fault of a listener is none of the connection
    }
  }
}

async function readBoots(open: NamespaceConnection): Promise<Boot[]> {
  const entries = await open.connection.send<[string, string[]][]>(['XRANGE', `${open.prefix}boots`, '-', '+'])
  return entries.map(([id, fields]) => ({ id, accepted: JSON.parse(fields[3] as string) as Boot['accepted'] }))
}

/** The life that followed the life `own`. `own` itself may be forgotten: then it is the first that began after it. */
function bootAfter(boots: readonly Boot[], own: string, current: string): Boot | undefined {
  return boots.find((boot) => isLater(boot.id, own)) ?? boots.find((boot) => boot.id === current)
}

function isLater(a: string, b: string): boolean {
  const [aMs = 0, aSeq = 0] = a.split('-').map(Number)
  const [bMs = 0, bSeq = 0] = b.split('-').map(Number)
  return aMs === bMs ? aSeq > bSeq : aMs > bMs
}

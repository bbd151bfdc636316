import { type Child, type ChildOptions, type ParentLink, startChild } from '../child.ts'
import { loadSystem, type Place, type SystemName } from './system.ts'

interface RelayArgs extends Place {
  readonly system: SystemName
}

type Order = 'start' | 'stop' | 'usage' | 'finish'

/** A relay in a process of its own, seen from the process that measures. */
export class RelayProcess {
  readonly #child: Child<void>

  private constructor(child: Child<void>) {
    this.#child = child
  }

  /** Resolves when it is connected and waits for `start`. */
  static async open(system: SystemName, place: Place, options: ChildOptions): Promise<RelayProcess> {
    const child = startChild(import.meta.url, relay, { ...place, system }, options)
    await child.receive()
    return new RelayProcess(child)
  }

  async start(): Promise<void> {
    await this.#ask('start')
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    await this.#ask('stop')
  }

  /** CPU of the process so far. */
  async cpuMs(): Promise<number> {
    return (await this.#ask('usage')) as number
  }

  async finish(): Promise<void> {
    this.#child.send('finish' satisfies Order)
    await this.#child.result()
  }

  /** SIGKILL. */
  kill(): void {
    this.#child.kill()
  }

  #ask(order: Order): Promise<unknown> {
    this.#child.send(order)
    return this.#child.receive()
  }
}

/**
 * Obeys the parent, and answers each order when it is done.
 *
 * @public A child process finds it by its name.
 */
export async function relay({ system, ...place }: RelayArgs, parent: ParentLink): Promise<void> {
  const { openRelay } = await loadSystem(system)
  const relay = await openRelay(place)
  parent.send('ready')
  for (;;) {
    switch ((await parent.receive()) as Order) {
      case 'start':
        await relay.start()
        parent.send('started')
        break
      case 'stop':
        await relay.stop()
        parent.send('stopped')
        break
      case 'usage': {
        const { user, system: kernel } = process.cpuUsage()
        parent.send((user + kernel) / 1000)
        break
      }
      case 'finish':
        return relay.close()
    }
  }
}

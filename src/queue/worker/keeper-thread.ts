import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../clock.ts'
import type { Logger } from '../../logger.ts'
import { Connection } from '../../redis/connection.ts'
import { Link } from '../../redis/link.ts'
import { RepeatedWarning } from '../../service/repeated-warning.ts'
import type { FromKeeper, KeeperData, StreamRef, ToKeeper } from './keeper-protocol.ts'
import { GROUP, keyPrefix, streamKey, wakeChannel } from '../keys.ts'
import { type HeldEntry, LeaseTable } from './lease-table.ts'
import { LEASE_PAGE, renewLeases, streamNumber } from './leases.ts'
import { mustReopen, type NamespaceConnection, openNamespace } from '../namespace.ts'
import { PromotionTimer } from './promotion-timer.ts'
import { loadScripts } from '../scripts.ts'

/**
 * The keeper: a thread with connections of its own, so that a handler that blocks the event loop neither loses its lease nor holds
 * up what waits behind it. It renews what runs, hands back what was fetched and not started in time, and promotes delayed jobs.
 * It decides nothing about outcomes. See docs/concepts.md, "Leases".
 */
class KeeperThread {
  readonly #data: KeeperData
  readonly #post: (message: FromKeeper) => void
  readonly #unheard: () => ToKeeper | undefined
  readonly #table: LeaseTable
  readonly #vitals: Float64Array
  readonly #link: Link<NamespaceConnection>
  readonly #subscriber: Link<Connection>
  readonly #promotions: PromotionTimer
  readonly #failures: RepeatedWarning
  readonly #stop = new AbortController()
  readonly #clockOffsetMs: number
  #streams: readonly StreamRef[] = []
  #consumer: string | undefined
  #beats = -1
  #beatAt = 0
  #pingedAt = 0
  #renewedAt = Number.NEGATIVE_INFINITY
  #isReady = false
  /** Taken from the table and not yet handed back: a failed attempt to do so is repeated. */
  #unreturned: HeldEntry[] = []

  /** `unheard`: the next message that was sent and has not been received yet. */
  constructor(data: KeeperData, post: (message: FromKeeper) => void, unheard: () => ToKeeper | undefined) {
    this.#data = data
    this.#post = post
    this.#unheard = unheard
    this.#table = new LeaseTable(data.memory)
    this.#vitals = new Float64Array(data.vitals)
    this.#clockOffsetMs = data.clock.monotonicMs - data.clock.hrtimeMs
    const log = forwardingLogger(post)
    this.#failures = new RepeatedWarning(log)
    const { namespace, queues, workerId } = data
    // A connection that hangs must be replaced before the leases that it should renew end.
    const replyTimeoutMs = Math.min(data.redis.replyTimeoutMs ?? Number.POSITIVE_INFINITY, data.leaseMs / 3)
    const redis = { ...data.redis, replyTimeoutMs }
    this.#link = new Link(async () => {
      const connection = await Connection.open(redis, `moca:${workerId}:keeper`)
      try {
        const open = await openNamespace(connection, namespace, {
          queues,
          makeGroups: false,
          seenMs: this.#vitals[2] ?? 0,
        })
        // What fell due while there was no connection need not wait for the next look.
        this.#promotions.lookNow()
        return open
      } catch (error) {
        connection.destroy()
        throw error
      }
    }, log)
    this.#promotions = new PromotionTimer({
      queues,
      connection: () => this.#link.get(),
      onSuccess: () => {
        this.#vitals[1] = this.#now()
      },
    })
    this.#subscriber = new Link(async () => {
      const connection = await Connection.open(redis, `moca:${workerId}:wake`)
      await connection.subscribe(wakeChannel(keyPrefix(namespace)), (message) => this.#promotions.wake(message))
      // Whatever became due or was announced while nobody listened is looked up once.
      this.#promotions.lookNow()
      return connection
    }, log)
  }

  receive(message: ToKeeper): void {
    if (message.kind === 'session') {
      this.#consumer = message.consumer
      // The new session hands back what is not in the table any more; it may hold the same entries anew.
      this.#unreturned = []
    } else if (message.kind === 'streams') this.#streams = message.streams
    else this.#end()
  }

  #end(): void {
    this.#stop.abort()
    // Nothing to wait for in the midst of connecting.
    if (!this.#link.get()) void this.#link.close()
  }

  async run(): Promise<void> {
    const { signal } = this.#stop
    this.#subscriber.start()
    this.#promotions.start(signal)
    const tickMs = Math.max(5, this.#data.handBackMs / 2)
    let waitMs = tickMs
    while (!signal.aborted) {
      try {
        const open = await this.#link.ready(this.#data.leaseMs)
        if (!this.#isReady) {
          this.#isReady = true
          this.#post({ kind: 'ready' })
        }
        await this.#tick(open)
        this.#failures.works('The keeper keeps leases again')
        waitMs = tickMs
      } catch (error) {
        if (mustReopen(error)) this.#link.get()?.destroy()
        if (!signal.aborted) {
          this.#failures.failed((error as Error).message, 'Redis refuses what keeps the leases; trying again')
        }
        // Well before the leases end, and not so often that a server in trouble hears of nothing else.
        waitMs = Math.min(waitMs * 2, this.#data.leaseMs / 12)
      }
      await systemClock.wait(Math.max(waitMs, tickMs), signal)
    }
    await Promise.all([this.#subscriber.close(), this.#link.close()])
  }

  async #tick(open: NamespaceConnection): Promise<void> {
    const at = this.#now()
    await this.#returnUnstarted(open, at)
    if (this.#isMainBlocked(at)) await this.#returnUnseen(open)
    if (at - this.#pingedAt >= this.#data.leaseMs / 3) {
      this.#pingedAt = at
      // Who only listens never learns that the other end is gone.
      void this.#subscriber
        .get()
        ?.send(['PING'])
        .catch(() => undefined)
    }
    if (at - this.#renewedAt >= this.#data.leaseMs / 3 && (await this.#renew(open, at))) {
      this.#renewedAt = at
      this.#vitals[0] = at
    }
  }

  async #returnUnstarted(open: NamespaceConnection, at: number): Promise<void> {
    // Timers come before messages: a session that began before `at` must be known, or what it holds is taken in the name of an older one.
    for (let message = this.#unheard(); message; message = this.#unheard()) this.receive(message)
    const consumer = this.#consumer
    if (consumer === undefined) return // nothing is held yet
    this.#unreturned.push(...this.#table.takeUnstarted(at - this.#data.handBackMs))
    if (this.#unreturned.length === 0) return
    const entries = this.#unreturned.filter((entry) => this.#streams[entry.ref])
    await this.#release(open, consumer, entries)
    this.#unreturned = this.#unreturned.filter((entry) => !entries.includes(entry))
    this.#post({ kind: 'returned', count: entries.length, unseen: 0 })
  }

  /** The main thread's monotonic clock. */
  #now(): number {
    return Number(process.hrtime.bigint() / 1000n) / 1000 + this.#clockOffsetMs
  }

  #isMainBlocked(at: number): boolean {
    const beats = this.#table.beats
    if (beats !== this.#beats) {
      this.#beats = beats
      this.#beatAt = at
    }
    return at - this.#beatAt > this.#data.handBackMs
  }

  /**
   * While the event loop is blocked, replies lie unread in its socket: jobs that nobody knows of. What is pending for this worker and
   * not in the table goes back (attack 6). The order decides: the server is asked, then the epoch changes, then the table is read. A reply
   * that the server's answer knows of was asked for under the epoch before; so its entries are in the table by now, or the main thread
   * sees the change after putting them there, and asks whether they still are its own.
   */
  async #returnUnseen(open: NamespaceConnection): Promise<void> {
    const consumer = this.#consumer
    if (consumer === undefined) return
    const { handBackMs } = this.#data
    const unseen: HeldEntry[] = []
    const pages = await Promise.all(
      this.#streams.map(({ queue, letter }) =>
        open.connection.send<[string, string, number, number][]>([
          'XPENDING',
          streamKey(open.prefix, queue, letter),
          GROUP,
          'IDLE',
          String(handBackMs),
          '-',
          '+',
          '1000',
          consumer,
        ]),
      ),
    )
    if (pages.every((page) => page.length === 0)) return
    this.#table.nextEpoch()
    const names = this.#table.names()
    for (const [ref, page] of pages.entries()) {
      for (const [entry, , , times] of page)
        if (!names.has(`${ref}:${entry}`)) unseen.push({ slot: -1, ref, entry, times })
    }
    if (unseen.length === 0) return
    await this.#release(open, consumer, unseen)
    this.#post({ kind: 'returned', count: unseen.length, unseen: unseen.length })
  }

  /** In the name of the session in which this was decided: arriving late, it leaves alone what a newer one holds. */
  async #release(open: NamespaceConnection, consumer: string, entries: readonly HeldEntry[]): Promise<void> {
    const { workerId, queues } = this.#data
    for (let from = 0; from < entries.length; from += LEASE_PAGE) {
      const page = entries.slice(from, from + LEASE_PAGE)
      const header = { w: workerId, c: consumer, q: queues, n: page.length }
      const flat = page.flatMap((held) => {
        return [
          streamNumber(queues, this.#streamOf(held)),
          held.entry,
          held.times === undefined ? '' : String(held.times),
        ]
      })
      await open.connection.run(loadScripts().release, open.prefix, [JSON.stringify(header), ...flat])
    }
  }

  /** False: nothing may be renewed. */
  async #renew(open: NamespaceConnection, at: number): Promise<boolean> {
    const consumer = this.#consumer
    if (consumer === undefined) return false
    // A process whose event loop has been blocked for too long, and longer than any timeout in it allows, is hung: its jobs go to others.
    const isBlockedTooLong = at - this.#beatAt > this.#data.maxBlockedMs
    if (isBlockedTooLong && this.#table.owned(at, true).length === 0) return false
    // A stream that this thread was not told of yet is known in the next round.
    const owned = this.#table.owned(at).filter((entry) => this.#streams[entry.ref])
    const { workerId, queues } = this.#data
    const lost = await renewLeases(open, { workerId, consumer, queues }, owned, (held) => this.#streamOf(held))
    // Settled or started anew while the answer was under way: not lost.
    const slots = lost.filter((entry) => this.#table.isRunning(entry))
    if (slots.length > 0) this.#post({ kind: 'lost', slots })
    return true
  }

  #streamOf({ ref }: HeldEntry): StreamRef {
    return this.#streams[ref] as StreamRef
  }
}

function forwardingLogger(post: (message: FromKeeper) => void): Logger {
  const log: Logger = {
    debug() {},
    info: (facts, message) => post({ kind: 'log', level: 'info', facts, message }),
    warn: (facts, message) => post({ kind: 'log', level: 'warn', facts, message }),
    error: (facts, message) => post({ kind: 'log', level: 'error', facts, message }),
    child: () => log,
  }
  return log
}

const port = parentPort
if (port) {
  const keeper = new KeeperThread(
    workerData as KeeperData,
    (message) => port.postMessage(message),
    () => receiveMessageOnPort(port)?.message as ToKeeper | undefined,
  )
  port.on('message', (message: ToKeeper) => keeper.receive(message))
  await keeper.run()
  port.close()
}

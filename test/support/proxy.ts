import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

// A network that misbehaves: a TCP proxy in front of a server. What it does to a connection is decided when bytes arrive,
// so that a fault also hits connections that are open already.

export type Direction = 'toServer' | 'toClient'

export interface Fault {
  /**
   * `hole`: nothing passes, in either direction, and nobody is told; new connections are accepted and never answered.
   * `delay`: everything arrives `delayMs` later, in order.
   */
  readonly kind: 'hole' | 'delay'
  readonly delayMs?: number
  /** Default: both. */
  readonly direction?: Direction
  /** Only connections whose client named itself so (CLIENT SETNAME). Default: all, those without a name included. */
  readonly name?: RegExp
  /** Begins, for each connection, with the bytes that match (a command arrives in one piece as a rule). Default: at once. */
  readonly from?: RegExp
  /** Only connections that are open when the fault begins: new ones are fine. Default: false. */
  readonly isForOldOnly?: boolean
}

export interface ProxyOptions {
  /** The port of the server, asked for every new connection. */
  readonly targetPort: () => number
}

export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const server = createServer({ allowHalfOpen: true })
  const proxy = new Proxy(server, options)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return proxy
}

/** Made by `startProxy`. */
export class Proxy {
  readonly #server: Server
  #targetPort: () => number
  readonly #pairs = new Set<Pair>()
  #faults: readonly ActiveFault[] = []
  #isRefusing = false

  constructor(server: Server, options: ProxyOptions) {
    this.#server = server
    this.#targetPort = options.targetPort
    server.on('connection', (client) => this.#accept(client))
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Names (CLIENT SETNAME) of the connections that are open. */
  get names(): string[] {
    return [...this.#pairs].map(({ name }) => name)
  }

  /** How many connections have something that a fault holds back. */
  get holding(): number {
    return [...this.#pairs].filter((pair) => pair.holds).length
  }

  /** Ends connections on both sides, as a crashed router would. */
  cut(name = /^/): void {
    for (const pair of this.#pairs) if (name.test(pair.name)) pair.destroy()
  }

  /** Ends everything, and every new connection at once, until `heal`. */
  refuse(): void {
    this.#isRefusing = true
    this.cut()
  }

  /** Leads new connections to another server; those that are open stay where they are. */
  setTarget(port: () => number): void {
    this.#targetPort = port
  }

  /** Replaces the faults that are in force. */
  setFaults(...faults: Fault[]): void {
    const old = new Set(this.#pairs)
    this.#faults = faults.map((fault) => {
      const begun = new WeakSet<Pair>()
      return {
        ...fault,
        hits: (pair) =>
          (fault.name === undefined || fault.name.test(pair.name)) &&
          (fault.isForOldOnly !== true || old.has(pair)) &&
          (fault.from === undefined || begun.has(pair)),
        begin: (pair, text) => {
          if (fault.from?.test(text) === true) begun.add(pair)
        },
      }
    })
    for (const pair of this.#pairs) pair.pump()
  }

  /** Ends all faults. What lay in a hole arrives late, unless `isLost`: then its connections are ended. */
  heal({ isLost = false } = {}): void {
    this.#isRefusing = false
    const wasHoled = [...this.#pairs].filter((pair) => pair.holds)
    this.#faults = []
    for (const pair of this.#pairs) {
      if (isLost && wasHoled.includes(pair)) pair.destroy()
      else pair.pump()
    }
  }

  async stop(): Promise<void> {
    this.#faults = []
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const pair of this.#pairs) pair.destroy()
    await closed
  }

  #accept(client: Socket): void {
    if (this.#isRefusing) {
      client.destroy()
      return
    }
    const server = connect({ port: this.#targetPort(), host: '127.0.0.1', allowHalfOpen: true })
    const pair = new Pair(client, server, () => this.#faults)
    this.#pairs.add(pair)
    pair.onClosed(() => this.#pairs.delete(pair))
  }
}

interface ActiveFault extends Fault {
  readonly hits: (pair: Pair) => boolean
  /** Told of all that arrives. */
  readonly begin: (pair: Pair, text: string) => void
}

interface Parcel {
  /** Undefined: the end of the stream. */
  readonly bytes: Buffer | undefined
  readonly at: number
}

/** One connection through the proxy. Each direction is a queue of what came and has not been passed on. */
class Pair {
  name = ''
  readonly #sockets: Record<Direction, Socket>
  readonly #queues: Record<Direction, Parcel[]> = { toServer: [], toClient: [] }
  readonly #faults: () => readonly ActiveFault[]
  #timer: NodeJS.Timeout | undefined
  #head = ''

  constructor(client: Socket, server: Socket, faults: () => readonly ActiveFault[]) {
    this.#sockets = { toServer: server, toClient: client }
    this.#faults = faults
    this.#listen(client, 'toServer')
    this.#listen(server, 'toClient')
  }

  /** Something waits that a fault holds back. */
  get holds(): boolean {
    return this.#queues.toServer.length > 0 || this.#queues.toClient.length > 0
  }

  onClosed(listener: () => void): void {
    const { toServer, toClient } = this.#sockets
    let open = 2
    const closed = () => {
      if (--open === 0) listener()
    }
    toServer.once('close', closed)
    toClient.once('close', closed)
  }

  destroy(): void {
    clearTimeout(this.#timer)
    this.#sockets.toServer.destroy()
    this.#sockets.toClient.destroy()
  }

  /** Passes on what no fault holds back (any more). */
  pump(): void {
    clearTimeout(this.#timer)
    let next = Number.POSITIVE_INFINITY
    for (const direction of ['toServer', 'toClient'] as const) next = Math.min(next, this.#drain(direction))
    if (next < Number.POSITIVE_INFINITY)
      this.#timer = setTimeout(() => this.pump(), Math.max(1, next - performance.now()))
  }

  #listen(from: Socket, direction: Direction): void {
    from.setNoDelay(true)
    from.on('data', (bytes) => {
      if (direction === 'toServer') this.#readName(bytes)
      this.#push(direction, bytes)
    })
    from.on('end', () => this.#push(direction, undefined))
    // A connection that breaks on one side breaks on the other as soon as what came before has been passed on.
    from.on('error', () => this.#push(direction, undefined))
  }

  #push(direction: Direction, bytes: Buffer | undefined): void {
    for (const fault of this.#faults()) if (fault.from !== undefined) fault.begin(this, bytes?.toString('latin1') ?? '')
    this.#queues[direction].push({ bytes, at: performance.now() })
    this.pump()
  }

  /** Passes on what may pass; the instant at which more may, Infinity when nothing waits or a hole holds it. */
  #drain(direction: Direction): number {
    const queue = this.#queues[direction]
    const faults = this.#faults().filter((fault) => (fault.direction ?? direction) === direction && fault.hits(this))
    if (faults.some(({ kind }) => kind === 'hole')) return Number.POSITIVE_INFINITY
    const delayMs = Math.max(0, ...faults.map(({ delayMs }) => delayMs ?? 0))
    const now = performance.now()
    const to = this.#sockets[direction]
    for (let first = queue[0]; first; first = queue[0]) {
      if (first.at + delayMs > now) return first.at + delayMs
      queue.shift()
      if (first.bytes === undefined) to.end()
      else if (!to.destroyed) to.write(first.bytes)
    }
    return Number.POSITIVE_INFINITY
  }

  #readName(bytes: Buffer): void {
    if (this.#head.length > 4_096) return
    this.#head += bytes.toString('latin1')
    this.name = /SETNAME\r\n\$\d+\r\n([^\r]+)\r\n/i.exec(this.#head)?.[1] ?? this.name
  }
}

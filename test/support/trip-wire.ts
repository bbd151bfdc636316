import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export interface Trip {
  /** At this piece that clients send, counted from the arming on: a command or a message, as a rule. From 1. */
  readonly piece: number
  /** Counted from the first piece on that has this text, itself the first. Default: from the arming on. */
  readonly from?: string
  /** Only pieces that have this text are counted. Default: all. */
  readonly of?: string
  /**
   * Whether the server still gets it. No answer passes any more, in either case. `late`: when it is released; all else passes meanwhile, and
   * afterwards.
   */
  readonly isDelivered: boolean | 'late'
  /** Called at once. */
  readonly onTrip: () => void
}

/** What one client sent, and the server has not got yet. */
interface Held {
  readonly client: Socket
  readonly server: Socket
  readonly pieces: Buffer[]
}

const ANSWER_MS = 10_000

/** A TCP proxy in front of a server that counts what clients send, and cuts them off at the piece that it is armed for, or holds that back. */
export class TripWire {
  readonly #server: Server
  readonly #targetPort: number
  readonly #sockets = new Set<Socket>()
  #trip: Trip | undefined
  #pieces = 0
  #hasBegun = false
  #hasTripped = false
  #held: Held | undefined

  private constructor(server: Server, targetPort: number) {
    this.#server = server
    this.#targetPort = targetPort
    server.on('connection', (client) => this.#accept(client))
  }

  static async start(targetPort: number): Promise<TripWire> {
    const server = createServer()
    const wire = new TripWire(server, targetPort)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return wire
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  arm(trip: Trip): void {
    this.#trip = trip
    this.#pieces = 0
    this.#hasBegun = trip.from === undefined
    this.#hasTripped = false
  }

  /** Everything passes, on new connections: what is left of those that were cut off never arrives. */
  disarm(): void {
    if (this.#hasTripped) for (const socket of this.#sockets) socket.destroy()
    this.#trip = undefined
    this.#hasTripped = false
  }

  /** What was held back arrives. Resolves with what the server says to it. */
  async release(): Promise<string> {
    const held = this.#held
    if (!held) throw new Error('Nothing is held back')
    this.#held = undefined
    const answer = once(held.server, 'data', { signal: AbortSignal.timeout(ANSWER_MS) })
    held.server.write(Buffer.concat(held.pieces))
    const [bytes] = (await answer) as [Buffer]
    return bytes.toString()
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    const server = connect(this.#targetPort, '127.0.0.1')
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => {}) // its close says enough
      // What was written before still arrives.
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.end()
      })
    }
    client.on('data', (bytes) => {
      if (this.#held?.client === client) this.#held.pieces.push(bytes)
      else if (this.#passes(bytes, { client, server })) server.write(bytes)
    })
    server.on('data', (bytes) => {
      if (!this.#hasTripped) client.write(bytes)
    })
  }

  #passes(bytes: Buffer, { client, server }: Omit<Held, 'pieces'>): boolean {
    if (!this.#trip) return true
    const { piece, from = '', of = '', isDelivered, onTrip } = this.#trip
    this.#hasBegun ||= bytes.includes(from)
    if (!this.#hasBegun) return true
    if (this.#hasTripped) return false
    if (!bytes.includes(of) || ++this.#pieces < piece) return true
    if (isDelivered === 'late') {
      this.#trip = undefined
      this.#held = { client, server, pieces: [bytes] }
    } else this.#hasTripped = true
    onTrip()
    return isDelivered === true
  }
}

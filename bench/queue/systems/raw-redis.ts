import { connect, type Socket } from 'node:net'

type Reply = string | number | null | Reply[] | Error

interface Waiter {
  readonly resolve: (reply: never) => void
  readonly reject: (error: Error) => void
}

/** Thrown by the reader when a reply has not arrived whole. */
const incomplete = Symbol('incomplete')

/**
 * The least of a Redis client: RESP 2, replies in order, no reconnecting. For the bare loop, which is to show what the machine can give:
 * commands of one turn are written before the event loop goes on, where a client for general use waits for its next phase.
 */
export class RawRedis {
  readonly #socket: Socket
  readonly #waiters: Waiter[] = []
  #out = ''
  #isFlushDue = false
  #in = ''
  #at = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => this.#receive(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('The connection ended')))
  }

  static open(port: number): Promise<RawRedis> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1' }, () => {
        socket.off('error', reject)
        resolve(new RawRedis(socket))
      })
      socket.once('error', reject)
    })
  }

  send<T>(args: readonly string[]): Promise<T> {
    let text = `*${args.length}\r\n`
    for (const arg of args) text += `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`
    this.#out += text
    if (!this.#isFlushDue) {
      this.#isFlushDue = true
      queueMicrotask(() => this.#flush())
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
    })
  }

  async close(): Promise<void> {
    await this.send(['PING'])
    this.#socket.destroy()
  }

  #flush(): void {
    this.#isFlushDue = false
    this.#socket.write(this.#out)
    this.#out = ''
  }

  #receive(chunk: string): void {
    this.#in = this.#at === this.#in.length ? chunk : this.#in.slice(this.#at) + chunk
    this.#at = 0
    while (this.#at < this.#in.length) {
      const beginning = this.#at
      const reply = this.#read()
      if (reply === incomplete) {
        this.#at = beginning
        return
      }
      const waiter = this.#waiters.shift()
      if (reply instanceof Error) waiter?.reject(reply)
      else waiter?.resolve(reply as never)
    }
  }

  #read(): Reply | typeof incomplete {
    const end = this.#in.indexOf('\r\n', this.#at)
    if (end < 0) return incomplete
    const kind = this.#in[this.#at]
    const line = this.#in.slice(this.#at + 1, end)
    this.#at = end + 2
    if (kind === '+') return line
    if (kind === '-') return new Error(line)
    const count = Number(line)
    if (kind === ':') return count
    if (count < 0) return null
    return kind === '$' ? this.#readText(count) : this.#readList(count)
  }

  /** Payloads of the benchmark are ASCII: bytes are characters. */
  #readText(length: number): string | typeof incomplete {
    if (this.#in.length < this.#at + length + 2) return incomplete
    const text = this.#in.slice(this.#at, this.#at + length)
    this.#at += length + 2
    return text
  }

  #readList(count: number): Reply | typeof incomplete {
    const list: Reply[] = []
    for (let index = 0; index < count; index++) {
      const item = this.#read()
      if (item === incomplete) return incomplete
      list.push(item)
    }
    return list
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiters.splice(0)) reject(error)
  }
}

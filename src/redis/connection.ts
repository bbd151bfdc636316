import { createClient, ErrorReply, type RedisClientOptions, type RedisClientType } from '@redis/client'
import { ConfigError, ConnectionError, MocaError, UnsuitableServerError } from '../errors.ts'
import { asLoginError } from './access.ts'

/** How to reach a Redis server. */
export interface RedisOptions {
  /** `redis[s]://[[user][:password]@]host[:port][/db]`. */
  readonly url: string
  /** Longest time for a connection to come up, handshake included, in ms. Default 5,000. */
  readonly connectTimeoutMs?: number
  /** A command unanswered for so long (ms) means that the connection hangs: it is closed. Blocking reads add their own time. Default 10,000. */
  readonly replyTimeoutMs?: number
}

/** What the server said of itself when the connection was opened. */
export interface ServerIdentity {
  readonly version: string
  /** Differs for each life of a server process. */
  readonly runId: string
  /** Differs for each promotion to master. */
  readonly replId: string
}

/** A script as the server knows it. */
export interface StoredScript {
  readonly text: string
  readonly sha: string
}

interface ScriptCall {
  readonly script: StoredScript
  readonly command: readonly string[]
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: Error) => void
}

const CHECK_MS = 500

type Client = RedisClientType<Record<never, never>, Record<never, never>, Record<never, never>, 2>

/**
 * One connection to Redis that never reconnects by itself: once broken it stays broken, and its owner opens another. So nobody is
 * ever answered by another life of the server than the one that was asked.
 * A command without an answer within `replyTimeoutMs` breaks the connection (a link can die without a word).
 */
export class Connection {
  readonly clientId: number
  readonly server: ServerIdentity
  /** Resolves with the reason when the connection is broken or closed; never rejects. */
  readonly closed: Promise<Error>
  readonly #client: Client
  readonly #replyTimeoutMs: number
  readonly #break: (reason: Error) => void
  /** Why it is not open any more: what is unanswered then, and whatever is asked later, is refused with it. */
  #brokenBy: Error | undefined
  #unanswered = 0
  #waitingSince = 0
  #allowedMs = 0
  #checkedAt = performance.now()
  #callsUnderWay = 0
  /** Calls of scripts that the server did not know. */
  #refusedCalls: ScriptCall[] = []
  /** Calls that came while others were refused. */
  #waitingCalls: ScriptCall[] = []
  readonly #watch: NodeJS.Timeout

  private constructor(client: Client, options: RedisOptions, clientId: number, server: ServerIdentity) {
    this.#client = client
    this.#replyTimeoutMs = options.replyTimeoutMs ?? 10_000
    this.clientId = clientId
    this.server = server
    let broken: (reason: Error) => void = () => {}
    this.closed = new Promise((resolve) => {
      broken = resolve
    })
    this.#break = broken
    client.on('error', (cause: Error) =>
      this.#fail(new ConnectionError(`The connection to Redis broke: ${cause.message}`, cause)),
    )
    client.on('end', () => this.#fail(new ConnectionError('The connection to Redis was closed')))
    this.#watch = setInterval(() => this.#check(), CHECK_MS)
    this.#watch.unref()
  }

  /** Opens a connection; refuses a server that must not be used (too old, evicting keys, a replica), or that does not let this user in. */
  static async open(options: RedisOptions, name: string): Promise<Connection> {
    const timeoutMs = options.connectTimeoutMs ?? 5_000
    const client = makeClient(options.url, timeoutMs)
    let firstError: Error | undefined
    client.on('error', (error: Error) => {
      firstError ??= error
    })
    const where = describeUrl(options.url)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new ConnectionError(`Redis at ${where} did not answer within ${timeoutMs} ms`)),
        timeoutMs,
      )
    })
    try {
      const opened = (async () => {
        await client.connect()
        // The name is not an option of the client: it compiles a class of its own for each set of options, 25 ms every time.
        const [, id, info] = await Promise.all([
          client.sendCommand(['CLIENT', 'SETNAME', name.replaceAll(/[^\w.:-]/g, '_')]),
          client.sendCommand<number>(['CLIENT', 'ID']),
          client.sendCommand<string>(['INFO']),
        ])
        return { id, server: identify(info, where) }
      })()
      const { id, server } = await Promise.race([opened, late])
      if (firstError) throw firstError
      return new Connection(client, options, id, server)
    } catch (cause) {
      destroyQuietly(client)
      const refusal = asLoginError(cause, where)
      if (refusal instanceof MocaError) throw refusal
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new ConnectionError(`Could not connect to Redis at ${where}: ${message}`, cause)
    } finally {
      clearTimeout(timer)
    }
  }

  get isOpen(): boolean {
    return this.#brokenBy === undefined
  }

  /** Sends one command. `blockMs`: how long the server itself may take to answer. Rejects with the server's refusal, or with the reason why the connection broke. */
  send<T>(args: readonly string[], blockMs = 0): Promise<T> {
    if (this.#brokenBy) return Promise.reject(this.#brokenBy)
    this.#asks(blockMs)
    return this.#client.sendCommand<T>(args as string[]).then(this.#answered, this.#refused)
  }

  /**
   * Runs a script by its hash. When the server does not know it (SCRIPT FLUSH, or nobody loaded it), it is loaded, and what was refused
   * is sent again, in order: until then, later calls wait. One that was under way already is out of reach: it overtakes a refused one
   * when another process loads the script just between the two.
   */
  run<T>(script: StoredScript, prefix: string, args: readonly string[]): Promise<T> {
    return new Promise((resolve, reject) => {
      const call = { script, command: ['EVALSHA', script.sha, '1', prefix, ...args], resolve, reject } as ScriptCall
      if (this.#refusedCalls.length > 0) this.#waitingCalls.push(call)
      else this.#call(call)
    })
  }

  #call(call: ScriptCall): void {
    this.#callsUnderWay++
    this.send(call.command).then(
      (reply) => {
        this.#callsUnderWay--
        call.resolve(reply)
        if (this.#refusedCalls.length > 0) this.#goOn()
      },
      (error: Error) => {
        this.#callsUnderWay--
        if (error.message.startsWith('NOSCRIPT')) this.#refusedCalls.push(call)
        else call.reject(error)
        if (this.#refusedCalls.length > 0) this.#goOn()
      },
    )
  }

  /** Once all that was under way is answered: loads what the server does not know, and lets everybody through. */
  #goOn(): void {
    if (this.#callsUnderWay > 0) return
    const scripts = new Map(this.#refusedCalls.map(({ script }) => [script.sha, script.text]))
    Promise.all([...scripts.values()].map((text) => this.send(['SCRIPT', 'LOAD', text]))).then(
      () => this.#letThrough((call) => this.#call(call)),
      (error: Error) => this.#letThrough((call) => call.reject(error)),
    )
  }

  #letThrough(settleRefused: (call: ScriptCall) => void): void {
    const [refused, waiting] = [this.#refusedCalls, this.#waitingCalls]
    this.#refusedCalls = []
    this.#waitingCalls = []
    for (const call of refused) settleRefused(call)
    for (const call of waiting) this.#call(call)
  }

  /**
   * Listens to a channel on this connection, which is good for nothing but PING afterwards: nobody notices that it hangs before
   * something is asked on it.
   */
  subscribe(channel: string, listener: (message: string) => void): Promise<void> {
    return this.#ask(() => this.#client.subscribe(channel, listener))
  }

  /** As `subscribe`, to all channels that fit a pattern. The listener is told which one it was. */
  subscribePattern(pattern: string, listener: (message: string, channel: string) => void): Promise<void> {
    return this.#ask(() => this.#client.pSubscribe(pattern, listener))
  }

  unsubscribe(channel: string): Promise<void> {
    return this.#ask(() => this.#client.unsubscribe(channel))
  }

  unsubscribePattern(pattern: string): Promise<void> {
    return this.#ask(() => this.#client.pUnsubscribe(pattern))
  }

  async #ask(ask: () => Promise<void>): Promise<void> {
    // The client would never answer.
    if (this.#brokenBy) throw this.#brokenBy
    this.#asks(0)
    await ask().then(this.#answered, this.#refused)
  }

  /** Closes at once; what is unanswered is rejected. Twice is harmless. */
  destroy(reason: Error = new ConnectionError('The connection to Redis was closed')): void {
    this.#fail(reason)
  }

  #asks(blockMs: number): void {
    if (this.#unanswered++ === 0) {
      this.#waitingSince = performance.now()
      this.#allowedMs = this.#replyTimeoutMs
    }
    if (blockMs > 0) this.#allowedMs = Math.max(this.#allowedMs, this.#replyTimeoutMs + blockMs)
  }

  readonly #answered = <T>(reply: T): T => {
    this.#unanswered--
    this.#waitingSince = performance.now()
    if (this.#unanswered === 0) this.#allowedMs = 0
    return reply
  }

  readonly #refused = (error: Error): never => {
    this.#unanswered--
    this.#waitingSince = performance.now()
    // The client says of its own destruction no more than that.
    if (this.#brokenBy && !(error instanceof ErrorReply)) throw this.#brokenBy
    throw error
  }

  #check(): void {
    const at = performance.now()
    // This process itself was stopped or blocked: the answer may lie in the socket, unread. Count from now.
    const wasAsleep = at - this.#checkedAt > CHECK_MS * 3
    this.#checkedAt = at
    if (this.#unanswered === 0) return
    if (wasAsleep) this.#waitingSince = at
    if (at - this.#waitingSince <= this.#allowedMs) return
    this.#fail(new ConnectionError(`Redis did not answer within ${this.#allowedMs} ms: the connection hangs`))
  }

  #fail(reason: Error): void {
    if (this.#brokenBy) return
    this.#brokenBy = reason
    clearInterval(this.#watch)
    destroyQuietly(this.#client)
    this.#break(reason)
  }
}

function makeClient(url: string, connectTimeout: number): Client {
  try {
    return createClient({
      url,
      RESP: 2,
      disableOfflineQueue: true,
      // The client's own timeout makes a timer per command (a quarter of its speed); `#check` does it for all at once.
      commandOptions: { timeout: undefined } as unknown as NonNullable<RedisClientOptions['commandOptions']>,
      socket: { reconnectStrategy: false, connectTimeout, noDelay: true },
    })
  } catch {
    // Not as the cause: the error of an unreadable URL holds the URL, and with it the password.
    throw new ConfigError('redis.url cannot be used; expected redis[s]://[[user][:password]@]host[:port][/db]', {
      option: 'redis.url',
    })
  }
}

function destroyQuietly(client: Client): void {
  try {
    client.destroy()
  } catch {
    // It was closed already: that is what we want.
  }
}

function identify(info: string, where: string): ServerIdentity {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  const version = field('redis_version')
  if (Number.parseInt(version, 10) < 7) {
    throw new UnsuitableServerError(`Moca needs Redis 7.0 or newer; the server at ${where} is ${version}.`, {
      found: version,
      expected: '>= 7.0',
    })
  }
  const policy = field('maxmemory_policy')
  if (policy !== 'noeviction') {
    throw new UnsuitableServerError(
      `The Redis server at ${where} would throw jobs away when its memory is full: maxmemory-policy is ${policy}. Set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf).`,
      { found: policy, expected: 'noeviction' },
    )
  }
  if (field('role') === 'slave') {
    throw new ConnectionError(`The Redis server at ${where} is a replica; Moca writes, and needs the master.`)
  }
  return { version, runId: field('run_id'), replId: field('master_replid') }
}

/** Host and port of a URL, without user and password. */
export function describeUrl(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url)
    return `${hostname}:${port || '6379'}${pathname === '/' ? '' : pathname}`
  } catch {
    return 'an unreadable URL'
  }
}

import { closeSync, fdatasync, fdatasyncSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** What a handler itself wrote on the disk about one run. Moca has no hand in it. */
export interface LedgerLine {
  readonly kind: 'start' | 'end'
  /** Tells the runs of one process apart. */
  readonly run: number
  readonly pid: number
  /** Monotonic microseconds, the same clock in all processes of the machine. */
  readonly us: number
  readonly id: string
  readonly name: string
  /** A bigint as text. */
  readonly fence: string
  readonly attempt: number
  readonly stalls: number
  readonly releases: number
  /** Only of an end. `aborted`: the handler obeyed its signal. */
  readonly outcome?: 'succeeded' | 'failed' | 'aborted'
}

/** Microseconds that only grow and that all processes of this machine share. */
export function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

/** One process's file of the ledger. Lines that come while the disk is busy share the next fsync. */
export class Ledger<Line extends object = LedgerLine> {
  readonly #fd: number
  #waiting: (() => void)[] = []
  #isSyncing = false

  constructor(dir: string) {
    this.#fd = openSync(join(dir, `${process.pid}.jsonl`), 'a')
  }

  /** Resolves when the line is on the disk. */
  append(line: Line): Promise<void> {
    // Written at once, so that lines stand in the order of what happened; only the fsync is shared.
    writeSync(this.#fd, `${JSON.stringify(line)}\n`)
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      if (!this.#isSyncing) this.#sync()
    })
  }

  /** For handlers that block the event loop. */
  appendSync(line: Line): void {
    writeSync(this.#fd, `${JSON.stringify(line)}\n`)
    fdatasyncSync(this.#fd)
  }

  #sync(): void {
    this.#isSyncing = true
    const group = this.#waiting
    this.#waiting = []
    fdatasync(this.#fd, (error) => {
      if (error) throw error
      for (const resolve of group) resolve()
      this.#isSyncing = false
      if (this.#waiting.length > 0) this.#sync()
    })
  }
}

/** All lines of all processes, in no order. A process that was killed may have left half a last line: it was not written. */
export function readLedger<Line extends object = LedgerLine>(dir: string): Line[] {
  return readdirSync(dir)
    .filter((file) => file.endsWith('.jsonl'))
    .flatMap((file) => parseLines(readFileSync(join(dir, file), 'utf8')).lines as Line[])
}

/** Follows the file of one process while it writes. */
export class LedgerTail {
  readonly #fd: number
  readonly #open = new Map<number, LedgerLine>()
  readonly #buffer = Buffer.alloc(256 * 1024)
  #offset = 0
  #rest = ''
  #lastStartUs = 0
  readonly #onEnd: (line: LedgerLine) => void

  constructor(dir: string, pid: number, onEnd: (line: LedgerLine) => void = () => {}) {
    this.#fd = openSync(join(dir, `${pid}.jsonl`), 'a+')
    this.#onEnd = onEnd
  }

  get lastStartUs(): number {
    return this.#lastStartUs
  }

  /** Runs that have started and not ended, as far as the file tells now. */
  unfinished(): LedgerLine[] {
    for (;;) {
      const bytes = readSync(this.#fd, this.#buffer, 0, this.#buffer.length, this.#offset)
      if (bytes === 0) break
      this.#offset += bytes
      const { lines, rest } = parseLines(this.#rest + this.#buffer.toString('latin1', 0, bytes))
      this.#rest = rest
      for (const line of lines) this.#take(line as LedgerLine)
    }
    return [...this.#open.values()]
  }

  close(): void {
    closeSync(this.#fd)
  }

  #take(line: LedgerLine): void {
    if (line.kind === 'start') {
      this.#open.set(line.run, line)
      this.#lastStartUs = line.us
    } else {
      this.#open.delete(line.run)
      this.#onEnd(line)
    }
  }
}

function parseLines(text: string): { lines: unknown[]; rest: string } {
  const parts = text.split('\n')
  const rest = parts.pop() ?? ''
  return { lines: parts.map((part) => JSON.parse(part) as unknown), rest }
}

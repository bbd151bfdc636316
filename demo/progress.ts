import { MultiBar, type SingleBar } from 'cli-progress'

/** How far one kind of work has come. */
export interface Step {
  readonly name: string
  readonly done: number
  readonly total: number
}

export interface Progress {
  show(steps: readonly Step[], detail: string): void
  /** A line among the progress. */
  say(text: string): void
  stop(): void
}

/** Bars on a terminal, plain lines otherwise. */
export function makeProgress(elapsedSeconds: () => number): Progress {
  return process.stdout.isTTY ? new Bars(elapsedSeconds) : new Lines(elapsedSeconds)
}

const LINE_EVERY_SECONDS = 2

class Lines implements Progress {
  readonly #elapsed: () => number
  readonly #rates = new Rates()
  #shownAt = Number.NEGATIVE_INFINITY

  constructor(elapsed: () => number) {
    this.#elapsed = elapsed
  }

  show(steps: readonly Step[], detail: string): void {
    const at = this.#elapsed()
    const speeds = steps.map((step) => this.#rates.measure(step, at))
    if (at - this.#shownAt < LINE_EVERY_SECONDS) return
    this.#shownAt = at
    const parts = steps.map(({ name, done, total }, i) => `${name} ${done}/${total} (${speeds[i]?.text})`)
    this.say(`${parts.join('  ')}\n${' '.repeat(10)}${detail}`)
  }

  say(text: string): void {
    console.log(`${this.#elapsed().toFixed(1).padStart(6)} s  ${text}`)
  }

  stop(): void {}
}

class Bars implements Progress {
  readonly #elapsed: () => number
  readonly #rates = new Rates()
  readonly #bars: MultiBar
  readonly #steps = new Map<string, SingleBar>()
  #detail: SingleBar | undefined

  constructor(elapsed: () => number) {
    this.#elapsed = elapsed
    const format = '{name} [{bar}] {value}/{total}  {speed}'
    this.#bars = new MultiBar({ format, stream: process.stdout, hideCursor: true, barsize: 30, fps: 8 })
  }

  show(steps: readonly Step[], detail: string): void {
    const at = this.#elapsed()
    for (const step of steps) {
      const payload = { name: step.name.padEnd(14), speed: this.#rates.measure(step, at).text.padEnd(28) }
      const bar = this.#steps.get(step.name)
      if (bar) bar.update(step.done, payload)
      else this.#steps.set(step.name, this.#bars.create(step.total, step.done, payload))
    }
    const line = { detail: `${at.toFixed(1).padStart(6)} s  ${detail}`.padEnd(78) }
    if (this.#detail) this.#detail.update(0, line)
    else this.#detail = this.#bars.create(1, 0, line, { format: '{detail}' })
  }

  say(text: string): void {
    this.#bars.log(`${this.#elapsed().toFixed(1).padStart(6)} s  ${text}\n`)
    this.#bars.update()
  }

  stop(): void {
    this.#bars.stop()
  }
}

const WINDOW_SECONDS = 4

/** Speed over the last seconds, and the time left at that speed. */
class Rates {
  readonly #seen = new Map<string, { at: number; done: number }[]>()

  measure({ name, done, total }: Step, at: number): { text: string } {
    const seen = this.#seen.get(name) ?? []
    this.#seen.set(name, seen)
    seen.push({ at, done })
    while ((seen[0] as { at: number }).at < at - WINDOW_SECONDS) seen.shift()
    const first = seen[0] as { at: number; done: number }
    const perSecond = at > first.at ? (done - first.done) / (at - first.at) : 0
    if (done >= total) return { text: 'done' }
    if (perSecond <= 0) return { text: '0/s' }
    return { text: `${Math.round(perSecond)}/s, ${Math.ceil((total - done) / perSecond)} s left` }
  }
}

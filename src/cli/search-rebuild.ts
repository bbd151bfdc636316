import { SingleBar } from 'cli-progress'
import { systemClock } from '../clock.ts'
import { rebuildIndex, type RebuildProgress, type RebuildResult } from '../search/rebuild.ts'
import type { SearchIndex } from '../search/search-index.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseWhole } from './flag-values.ts'
import { formatCount, formatDuration } from './format.ts'
import { pickIndexes, withIndexes } from './search-access.ts'
import type { Output } from './output.ts'
import { stopSignal } from './stop-signal.ts'

export interface SearchRebuildOptions {
  readonly allowFailed?: string
  readonly batchSize?: string
  readonly dryRun?: boolean
}

/** Builds search indexes anew beside those that are searched, and swaps them. */
export async function rebuildSearch(
  context: Context,
  name: string | undefined,
  options: SearchRebuildOptions,
): Promise<ExitCode> {
  const allowFailed = parseWhole('--allow-failed', options.allowFailed, 0, Number.MAX_SAFE_INTEGER)
  const pageSize = parseWhole('--batch-size', options.batchSize, 1, 10_000)
  const { output } = context
  return withIndexes(context, 'moca search rebuild', async (all) => {
    const indexes = pickIndexes(all, name)
    if (options.dryRun) return tellPlan(output, indexes)
    const signal = stopSignal()
    const rebuilt: (RebuildResult & { readonly ms: number })[] = []
    for (const index of indexes) {
      const beganAtMs = systemClock.monotonicMs()
      const progress = new Progress(output, index.name)
      try {
        const result = await rebuildIndex(index, {
          signal,
          onProgress: (facts) => progress.show(facts),
          ...(allowFailed !== undefined && { allowFailed }),
          ...(pageSize !== undefined && { pageSize }),
        })
        rebuilt.push({ ...result, ms: Math.round(systemClock.monotonicMs() - beganAtMs) })
      } catch (error) {
        if (!signal.aborted) throw error
        output.note(`Stopped. Nothing was swapped; moca search rebuild ${index.name} goes on where it was.`)
        return EXIT.problem
      } finally {
        progress.end()
      }
    }
    output.result({ rebuilt }, () => describe(rebuilt))
    return EXIT.fine
  })
}

async function tellPlan(output: Output, indexes: readonly SearchIndex[]): Promise<ExitCode> {
  const plan = await Promise.all(
    indexes.map(async (index) => {
      const [rows, live, under] = await Promise.all([
        index.rows.count(),
        index.engine.live(index.name),
        index.rebuilds.find(index.name),
      ])
      return { index: index.name, rows, live: live?.generation, resumesAfter: under && under.documents }
    }),
  )
  output.result({ plan }, () =>
    plan.length === 0
      ? 'No doctype of the apps has search.'
      : plan
          .map(({ index, rows, live, resumesAfter }) => {
            const from = resumesAfter === undefined ? '' : `, ${formatCount(resumesAfter)} of them already`
            return `${index}: ${formatCount(rows)} rows would be read${from}; ${live === undefined ? 'there is no index yet' : `searched is generation ${live}`}.`
          })
          .join('\n'),
  )
  return EXIT.fine
}

function describe(rebuilt: readonly (RebuildResult & { readonly ms: number })[]): string {
  if (rebuilt.length === 0) return 'No doctype of the apps has search.'
  return rebuilt
    .map(({ index, documents, parked, ms, generation }) => {
      const rate = Math.round((documents * 1000) / Math.max(1, ms))
      const failed = parked === 0 ? '' : ` ${formatCount(parked)} documents are parked: moca search status.`
      return `${index}: ${formatCount(documents)} rows in ${formatDuration(ms)} (${formatCount(rate)}/s); generation ${generation} is searched now.${failed}`
    })
    .join('\n')
}

const TELL_MS = 5_000

/** A bar with rate and time left on a terminal; elsewhere a line now and then. */
class Progress {
  readonly #output: Output
  readonly #name: string
  readonly #bar: SingleBar | undefined
  #isStarted = false
  #step = ''
  #toldAtMs = Number.NEGATIVE_INFINITY
  #begin: { readonly documents: number; readonly atMs: number } | undefined

  constructor(output: Output, name: string) {
    this.#output = output
    this.#name = name
    const isSeen = process.stderr.isTTY && !output.isJson
    if (isSeen) {
      this.#bar = new SingleBar({
        format: `${name} {step} {bar} {percentage}% | {value} rows, {rate}/s, {left} left`,
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: false,
      })
    }
  }

  show(facts: RebuildProgress): void {
    const { step, documents, expected, isResumed } = facts
    const atMs = systemClock.monotonicMs()
    this.#begin ??= { documents, atMs }
    if (isResumed && this.#step === '')
      this.#output.note(`${this.#name}: goes on after ${formatCount(documents)} rows.`)
    const seconds = Math.max(0.001, (atMs - this.#begin.atMs) / 1000)
    const rate = (documents - this.#begin.documents) / seconds
    const total = Math.max(documents, expected ?? documents)
    const leftMs = rate > 0 ? ((total - documents) / rate) * 1000 : undefined
    const shown = { step, rate: formatCount(Math.round(rate)), left: formatDuration(leftMs) }
    if (this.#bar) {
      if (!this.#isStarted) this.#bar.start(total, documents, shown)
      this.#isStarted = true
      this.#bar.setTotal(total)
      this.#bar.update(documents, shown)
    } else if (step !== this.#step || atMs - this.#toldAtMs >= TELL_MS) {
      this.#toldAtMs = atMs
      const of = expected === undefined ? '' : ` of about ${formatCount(expected)}`
      const pace = step === 'copying' ? `, ${shown.rate}/s, ${shown.left} left` : ''
      if (!this.#output.isJson) this.#output.note(`${this.#name}: ${step}, ${formatCount(documents)}${of} rows${pace}`)
    }
    this.#step = step
  }

  end(): void {
    if (this.#isStarted) this.#bar?.stop()
  }
}

/** What the long run learnt, as a table and a drawing. Pure. */
import { median, percentile } from '../../statistics.ts'
import { type Chart, drawCharts } from './chart.ts'

export const timedStatements = ['look', 'read-begun', 'read-late', 'intend'] as const
export type TimedStatement = (typeof timedStatements)[number]

/** Durations of each statement, in ms. */
export type Timings = Readonly<Record<TimedStatement, readonly number[]>>

/** A table or index of the schema; partitions of the log and of its indexes count together. */
export interface Relation {
  readonly name: string
  /** log: a row for every event. notes: rows for batches, for good. hot: rows that are updated. */
  readonly kind: 'log' | 'notes' | 'hot'
  readonly bytes: number
}

export interface Sample {
  readonly atMs: number
  readonly committed: number
  readonly relayed: number
  readonly isHeld: boolean
  readonly timings: Timings
  readonly relations: readonly Relation[]
}

export interface Stage {
  readonly committed: number
  readonly seconds: number
  readonly isHeld: boolean
  /** Events that were committed and not relayed. */
  readonly behind: number
  readonly passes: number
  /** What reading took for each row: a pass takes longer when there is more to read. */
  readonly readUsPerRow: number | undefined
  readonly ms: Readonly<Record<TimedStatement, { readonly p50: number; readonly p99: number } | undefined>>
  readonly bytes: Readonly<Record<Relation['kind'], number>>
}

/** `relayedBefore`: at the end of the stage before. */
export function stageOf(
  { atMs, committed, relayed, isHeld, timings, relations }: Sample,
  relayedBefore: number,
): Stage {
  const summary = (name: TimedStatement) => {
    const values = timings[name]
    return values.length === 0 ? undefined : { p50: median(values), p99: percentile(values, 0.99) }
  }
  const sizeOf = (kind: Relation['kind']) =>
    relations.filter((relation) => relation.kind === kind).reduce((sum, { bytes }) => sum + bytes, 0)
  const rows = relayed - relayedBefore
  const readMs = [...timings['read-begun'], ...timings['read-late']].reduce((sum, ms) => sum + ms, 0)
  return {
    committed,
    seconds: atMs / 1000,
    isHeld,
    behind: committed - relayed,
    passes: timings.look.length,
    readUsPerRow: rows > 0 ? (readMs * 1000) / rows : undefined,
    ms: {
      look: summary('look'),
      'read-begun': summary('read-begun'),
      'read-late': summary('read-late'),
      intend: summary('intend'),
    },
    bytes: { log: sizeOf('log'), notes: sizeOf('notes'), hot: sizeOf('hot') },
  }
}

export function formatStages(stages: readonly Stage[]): string {
  const head = ['events', 's', 'held', 'behind', 'passes', ...timedStatements.map((name) => `${name} p50 / p99 ms`)]
  const sizes = ['read us a row', 'log MB', 'notes MB', 'hot kB']
  const lines = stages.map(({ committed, seconds, isHeld, behind, passes, readUsPerRow, ms, bytes }) => [
    committed.toLocaleString('en'),
    seconds.toFixed(0),
    isHeld ? 'yes' : '',
    behind.toLocaleString('en'),
    String(passes),
    ...timedStatements.map((name) => {
      const found = ms[name]
      return found ? `${found.p50.toFixed(2)} / ${found.p99.toFixed(1)}` : '–'
    }),
    readUsPerRow?.toFixed(1) ?? '–',
    megabytes(bytes.log).toFixed(1),
    megabytes(bytes.notes).toFixed(2),
    (bytes.hot / 1024).toFixed(0),
  ])
  return formatTable([...head, ...sizes], lines)
}

/** Every table and index: at the beginning, at the end, and what an event took of it. */
export function formatRelations(first: Sample, last: Sample): string {
  const events = last.committed - first.committed
  const lines = last.relations.map(({ name, kind, bytes }) => {
    const before = first.relations.find((relation) => relation.name === name)?.bytes ?? 0
    return [name, kind, String(before), String(bytes), events > 0 ? ((bytes - before) / events).toFixed(2) : '–']
  })
  return formatTable(['table or index', 'kind', 'bytes at first', 'bytes at the end', 'bytes per event'], lines)
}

function formatTable(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'))
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

export function drawCurves(stages: readonly Stage[]): string {
  const held = stages.filter(({ isHeld }) => isHeld)
  const spans =
    held.length === 0
      ? []
      : [
          {
            title: 'a transaction is open',
            from: held[0]?.committed ?? 0,
            to: held.at(-1)?.committed ?? 0,
          },
        ]
  const line = (title: string, valueOf: (stage: Stage) => number | undefined) => ({
    title,
    points: stages.flatMap((stage): [number, number][] => {
      const value = valueOf(stage)
      return value === undefined ? [] : [[stage.committed, value]]
    }),
  })
  const xTitle = 'events recorded'
  const charts: Chart[] = [
    {
      title: "The relay's queries, median of a stage",
      xTitle,
      yTitle: 'ms',
      spans,
      lines: timedStatements.map((name) => line(name, ({ ms }) => ms[name]?.p50)),
    },
    {
      title: 'Reading, for each row',
      xTitle,
      yTitle: 'us',
      spans,
      lines: [line('read-begun and read-late', ({ readUsPerRow }) => readUsPerRow)],
    },
    {
      title: 'Tables and indexes that are updated, or grow by batches',
      xTitle,
      yTitle: 'MB',
      spans,
      lines: [
        line('hot: rows are updated', ({ bytes }) => megabytes(bytes.hot)),
        line('notes: rows for batches', ({ bytes }) => megabytes(bytes.notes)),
      ],
    },
    {
      title: 'The log, a row for every event',
      xTitle,
      yTitle: 'MB',
      spans,
      lines: [line('table and indexes', ({ bytes }) => megabytes(bytes.log))],
    },
  ]
  return drawCharts(charts)
}

function megabytes(bytes: number): number {
  return bytes / 1024 ** 2
}

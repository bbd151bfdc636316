import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { LogRow } from './log-row.ts'
import { type Anchor, BEFORE_EVERYTHING, isNothingNew, isSeen, parseSnapshot, type Tick } from './snapshot.ts'
import { type BatchLimits, mergeRows, readArguments, type Window } from './window.ts'

/** A log whose transactions begin, record and end in any order, as PostgreSQL would show it. */
class SimulatedLog {
  readonly #inProgress = new Map<number, LogRow[]>()
  readonly #committed: LogRow[] = []
  readonly #commitOrder = new Map<string, number>()
  #nextXid = 1
  #lastEnded = 0
  #lastSeq = 0
  #floor = 0

  /** Keys are locked by their transaction until it ends, as a row is. */
  #lockedBy = new Map<string, number>()

  record(pick: number, key: string): void {
    const open = [...this.#inProgress.keys()]
    let xid = open[pick % (open.length + 1)]
    if (xid === undefined) {
      xid = this.#nextXid++
      this.#inProgress.set(xid, [])
    }
    if ((this.#lockedBy.get(key) ?? xid) !== xid) return // it would wait for the lock
    this.#lockedBy.set(key, xid)
    this.#inProgress.get(xid)?.push(rowOf(++this.#lastSeq, xid, key))
  }

  end(pick: number, commits: boolean): void {
    const open = [...this.#inProgress.keys()]
    const xid = open[pick % open.length]
    if (xid === undefined) return
    for (const row of commits ? (this.#inProgress.get(xid) ?? []) : []) {
      this.#committed.push(row)
      this.#commitOrder.set(row.id, this.#commitOrder.size)
    }
    this.#inProgress.delete(xid)
    this.#lastEnded = Math.max(this.#lastEnded, xid)
    for (const [key, owner] of this.#lockedBy) if (owner === xid) this.#lockedBy.delete(key)
  }

  /** `between` happens after the sequence was read and before the transaction gets its id. */
  anchor(between: () => void): Anchor {
    const low = this.#lastSeq
    between()
    const xid = this.#nextXid++
    this.#lastEnded = Math.max(this.#lastEnded, xid)
    return { low, xid: BigInt(xid) }
  }

  /** What `look` says; `between` happens after the sequence was read and before the snapshot is taken, `after` before high is read. */
  look({ low }: Anchor, between: () => void, after: () => void): Tick & { drawn: number } {
    const drawn = this.#lastSeq
    between()
    // As PostgreSQL does it: xmax is one more than the last that has ended, and what is above it is not listed.
    const xmax = this.#lastEnded + 1
    const open = [...this.#inProgress.keys()].filter((xid) => xid < xmax).toSorted((a, b) => a - b)
    const snapshot = parseSnapshot(`${open[0] ?? xmax}:${xmax}:${open.join(',')}`)
    after()
    return { id: undefined, snapshot, drawn, low, high: this.#lastSeq, floor: this.#floor }
  }

  /** What the two statements find, in the words of their SQL. */
  read(window: Window, { rows: most, bytes: mostBytes }: BatchLimits): LogRow[] {
    const { begun, late } = readArguments([window])
    const first = (rows: LogRow[]) => {
      let bytes = 0
      return rows
        .toSorted((a, b) => a.seq - b.seq)
        .slice(0, most)
        .filter((row) => {
          const before = bytes
          bytes += row.bytes
          return before < mostBytes
        })
    }
    const found = begun.lanes.flatMap((_, index) => {
      const [above = 0, high = 0, xmax = '0'] = [begun.above[index], begun.high[index], begun.xmax[index]]
      const seen = parseSnapshot(begun.seen[index] ?? '')
      const isVisible = ({ xid }: LogRow) => BigInt(xid) < seen.xmax && !seen.inProgress.has(xid)
      return first(
        this.#committed.filter(
          (row) => row.seq > above && row.seq <= high && BigInt(row.xid) >= BigInt(xmax) && isVisible(row),
        ),
      )
    })
    const lateFound = late.xids.flatMap((xid, index) =>
      first(
        this.#committed.filter(
          (row) => row.xid === xid && row.seq > (late.above[index] ?? 0) && row.seq <= (late.upto[index] ?? 0),
        ),
      ),
    )
    return [...found, ...lateFound]
  }

  /**
   * The log is copied to another server, whose transaction ids have come to `xid`. Somebody records there before it is rebased; what is
   * under way does not come along.
   */
  copy(xid: number, recorded: number): Anchor {
    while (this.#inProgress.size > 0) this.end(0, false)
    this.#nextXid = xid + 1
    this.#lastEnded = xid
    for (let index = 0; index < recorded; index++) {
      this.record(0, 'abc'[index % 3] as string)
      this.end(0, true)
    }
    this.#floor = ++this.#lastSeq
    return this.anchor(() => {})
  }

  endAll(): void {
    while (this.#inProgress.size > 0) this.end(0, true)
  }

  get committed(): readonly LogRow[] {
    return this.#committed
  }

  committedAs(row: LogRow): number {
    return this.#commitOrder.get(row.id) ?? -1
  }
}

function rowOf(seq: number, xid: number, key: string): LogRow {
  const rest = {
    kind: 'event',
    topic: 't',
    type: 'x',
    site: undefined,
    doctype: undefined,
    options: undefined,
  } as const
  return {
    seq,
    lane: 0,
    xid: String(xid),
    key,
    id: `${seq}`,
    dueMs: undefined,
    bytes: 1 + (seq % 5),
    payload: '',
    ...rest,
  }
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('record' as const),
      pick: fc.nat(7),
      key: fc.constantFrom('a', 'b', 'c'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('end' as const), pick: fc.nat(7), commits: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('relay' as const),
      between: fc.nat(3),
      after: fc.nat(3),
      batches: fc.nat(3),
      anchors: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('copy' as const), xid: fc.nat(6), recorded: fc.nat(3) }),
  },
)

test('every committed row is read once, and rows of a key in the order of their commits, whenever one looks, wherever the log is copied', () => {
  const limits = { rows: 3, bytes: 8 }
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const log = new SimulatedLog()
      const sent: LogRow[] = []
      let anchor = log.anchor(() => {})
      let [from, to, afterSeq]: [Tick, Tick | undefined, number] = [BEFORE_EVERYTHING, undefined, 0]
      const relay = (now: Tick & { drawn: number }, batches: number) => {
        if (!to && isNothingNew(from, now.snapshot, now.drawn)) return
        to ??= now
        for (let batch = 0; batch < batches && to; batch++) {
          const { rows, isLast } = mergeRows(log.read({ lane: 0, from, to, afterSeq }, limits), limits)
          // Reading a batch again is exact, also later.
          const upto = rows.at(-1)?.seq
          if (upto !== undefined) {
            const all = { rows: Infinity, bytes: Infinity }
            const again = mergeRows(log.read({ lane: 0, from, to, afterSeq, uptoSeq: upto }, all), all)
            assert.deepEqual(again.rows, rows)
          }
          sent.push(...rows)
          ;[from, to, afterSeq] = isLast ? [to, undefined, 0] : [from, to, upto ?? afterSeq]
        }
      }
      for (const each of steps) {
        if (each.kind === 'record') log.record(each.pick, each.key)
        else if (each.kind === 'end') log.end(each.pick, each.commits)
        else if (each.kind === 'copy') anchor = log.copy(each.xid, each.recorded)
        else {
          // Others go on while one looks.
          const meanwhile = (count: number) => () => {
            for (let index = 0; index < count; index++) {
              log.record(index, 'abc'[index % 3] as string)
              if (index % 2 === 1) log.end(index, true)
            }
          }
          if (each.anchors) anchor = log.anchor(meanwhile(each.between))
          relay(log.look(anchor, meanwhile(each.between), meanwhile(each.after)), each.batches + 1)
        }
      }
      log.endAll()
      for (let round = 0; round < 2; round++)
        relay(
          log.look(
            anchor,
            () => {},
            () => {},
          ),
          1_000,
        )
      assert.deepEqual(sent.map(({ id }) => id).toSorted(), log.committed.map(({ id }) => id).toSorted())
      for (const key of ['a', 'b', 'c']) {
        const order = sent.filter((row) => row.key === key).map((row) => log.committedAs(row))
        assert.deepEqual(
          order,
          order.toSorted((a, b) => a - b),
          `key ${key}`,
        )
      }
    }),
    { numRuns: 2_000 },
  )
})

test('refuses a text that is no snapshot', () => {
  assert.throws(() => parseSnapshot('10:20'), /Expected a pg_snapshot like 10:20:10,14; found "10:20"/)
})

test('a transaction that was under way when a life of the log ended is looked for, though another one has its number now', () => {
  const from = { id: 1, snapshot: parseSnapshot('5:9:5'), low: 3, high: 8, floor: 0 }
  const to = { id: 2, snapshot: parseSnapshot('5:7:5'), low: 20, high: 20, floor: 10 }
  const { late } = readArguments([{ lane: 4, from, to, afterSeq: 0 }])
  assert.deepEqual(late, { lanes: [4], above: [0], upto: [8], xids: ['5'] })
})

test('a tick sees rows of earlier lives, none of later ones, and of its own those of transactions that had ended', () => {
  // Of the second of three lives: seqs 101 to 200. A subscription that was registered then gets what it does not see.
  const tick = { snapshot: parseSnapshot('5:9:5'), floor: 100, high: 150 }
  const cases = [
    { seq: 90, xid: '900', seen: true },
    { seq: 100, xid: '5', seen: true },
    { seq: 120, xid: '5', seen: false },
    { seq: 120, xid: '8', seen: true },
    { seq: 140, xid: '9', seen: false },
    { seq: 160, xid: '8', seen: false },
    { seq: 230, xid: '3', seen: false },
  ]
  for (const { seen, ...row } of cases) assert.equal(isSeen(row, tick), seen, JSON.stringify(row))
})

import type { PostgresConnection } from '../postgres/connection.ts'
import type { Standstill } from './lane.ts'
import type { LogRow } from './log-row.ts'
import { type Anchor, BEFORE_EVERYTHING, floorBelow, parseSnapshot, type Snapshot, type Tick } from './snapshot.ts'
import { loadStatements } from './statements.ts'
import { type Floors, type RawTick, tickOf, toTick } from './stored-tick.ts'
import { type BatchLimits, mergeRows, type Reading, readArguments, type Window } from './window.ts'

/** What a look at the log says. */
export interface Look extends Tick {
  /** Another one: the server crashed or was replaced, and ticks that were not written down mean nothing any more. */
  readonly life: string
  /** The last seq that was drawn, 0: none. */
  readonly drawn: number
  readonly at: Date
}

/** A batch as its intent says it. */
export interface StoredBatch {
  readonly lane: number
  readonly n: number
  readonly from: Tick | undefined
  readonly to: Tick | undefined
  readonly afterSeq: number
  readonly uptoSeq: number
  readonly endsWindow: boolean
  readonly rows: number
  readonly digest: string
  readonly subscriptions: number
  readonly unparkedKey: string | undefined
  /** `<name>@<since>` of the subscription that it was for alone. */
  readonly catchUp: string | undefined
  readonly at: Date
}

/** Where a lane stands by what is written down. */
export interface StoredLane {
  readonly lane: number
  readonly epoch: number
  /** Of the last batch. Undefined: there was none. */
  readonly last: { readonly n: number; readonly digest: string; readonly isAcked: boolean } | undefined
  /** What the last batch of the lane's own windows says. Undefined: there was none. */
  readonly standing: Standing | undefined
}

/** The end of a batch: where what follows begins. */
export interface Standing {
  readonly from: Tick
  readonly to: Tick
  readonly uptoSeq: number
  readonly endsWindow: boolean
}

/** How far a subscription that begins in the past has come in a lane. */
export interface StoredCatchUp {
  readonly lane: number
  readonly name: string
  readonly since: number
  /** The past begins after it. */
  readonly past: Tick
  readonly standing: Standing | undefined
}

export interface ParkedKey {
  readonly lane: number
  readonly key: string
  readonly reason: string
  readonly error: string
  readonly firstSeq: number
  readonly wish: 'retry' | 'skip' | 'discard' | undefined
}

/** What a relay finds when it looks around. */
export interface Surroundings {
  /** Lane -> epoch of all that it owns. */
  readonly owned: ReadonlyMap<number, number>
  /** The version of the set of subscriptions. */
  readonly subscriptions: number
  readonly hasParkedKeys: boolean
  readonly hasCatchUps: boolean
  readonly hasRedrives: boolean
}

/** What an operator wishes of a lane: that what its sink forgot is sent again from a batch on, however old it is. */
export interface Redrive {
  readonly fromN: number
  readonly lastId: number
}

/** A new batch; `to` undefined: the tick that is written down with it. */
export interface NewBatch {
  readonly lane: number
  readonly n: number
  readonly epoch: number
  readonly fromTick: number | undefined
  readonly toTick: number | undefined
  readonly afterSeq: number
  readonly uptoSeq: number
  readonly endsWindow: boolean
  readonly rows: number
  readonly digest: string
  readonly unparkedKey?: string
  readonly catchUp?: string
}

export interface IntentRequest {
  readonly subscriptions: number
  /** All lanes that it touches. */
  readonly lanes: readonly { readonly lane: number; readonly epoch: number }[]
  readonly tick: Tick | undefined
  readonly batches: readonly NewBatch[]
  readonly acks: readonly { readonly lane: number; readonly n: number }[]
  readonly parkedKeys: readonly Omit<ParkedKey, 'wish'>[]
  readonly parked: readonly { readonly lane: number; readonly seq: number; readonly key: string; readonly n: number }[]
  readonly refusedAgain: readonly Omit<ParkedKey, 'wish'>[]
  readonly leaving: readonly {
    readonly lane: number
    readonly key: string
    readonly fromSeq: number
    readonly uptoSeq: number
    /** 0: for good. */
    readonly n: number
  }[]
  /** From which batch on a subscription that begins in the past gets what comes. */
  readonly joins: readonly {
    readonly name: string
    readonly since: number
    readonly lane: number
    readonly joinedN: number
  }[]
}

export type IntentAnswer =
  | { readonly tick: number | undefined; readonly anchor: Anchor }
  | { readonly refused: 'subscriptions' }
  | { readonly refused: 'lease'; readonly lanes: readonly number[] }
  /** Another owner wrote one of the batches: the positions must be read again. */
  | { readonly refused: 'overtaken' }

type RawStanding = RawTick & { upto_seq: number | null; ends_window: boolean | null }

type RawBatch = RawTick & {
  lane: number
  n: number
  after_seq: number
  upto_seq: number
  ends_window: boolean
  rows: number
  digest: string
  subscriptions: number
  unparked_key: string | null
  catch_up: string | null
  at: Date
}

interface RawRow {
  seq: number
  lane: number
  xid: string
  kind: 'e' | 'j'
  topic: string
  type: string
  site: string | null
  doctype: string | null
  key: string | null
  id: string
  options: string | null
  due_ms: number | null
  bytes: number
  payload: string
}

const NAMES = [
  'look',
  'glance',
  'anchor',
  'intend',
  'load-deployment',
  'load-lanes',
  'load-batches',
  'load-catch-ups',
  'load-parked-keys',
  'read-begun',
  'read-late',
  'read-left-out',
  'read-unparked',
  'read-parked',
  'renew-relay',
  'look-around',
  'leave',
  'load-redrives',
  'note-resent',
  'end-redrives',
  'note-standstill',
] as const

type Statements = Readonly<Record<(typeof NAMES)[number], string>>

/** What one relay asks of PostgreSQL for one sink, on a connection of its own: as long as it lives, so does what the relay remembers. */
export class RelayStore {
  readonly #connection: PostgresConnection
  readonly #sql: Statements
  readonly #sink: string
  readonly #relay: string
  #logId: string | undefined
  /** Where lives of the log ended. */
  #floors: Floors = []

  constructor(
    connection: PostgresConnection,
    options: { readonly schema: string; readonly sink: string; readonly relay: string },
  ) {
    this.#connection = connection
    this.#sink = options.sink
    this.#relay = options.relay
    this.#sql = loadStatements(NAMES, options.schema)
  }

  /** To be asked first: reading depends on what it says. */
  async deployment(): Promise<
    | { readonly logId: string; readonly namespace: string; readonly isHome: boolean; readonly floors: Floors }
    | undefined
  > {
    type Raw = { log_id: string; namespace: string; is_home: boolean; floors: number[] }
    const [row] = await this.#query<Raw>('load-deployment', [])
    this.#logId = row?.log_id
    this.#floors = row?.floors ?? []
    return row && { logId: row.log_id, namespace: row.namespace, isHome: row.is_home, floors: row.floors }
  }

  /** Says that this relay is alive for another lease. */
  async renew({
    host,
    pid,
    leaseMs,
  }: {
    readonly host: string
    readonly pid: number
    readonly leaseMs: number
  }): Promise<void> {
    await this.#query('renew-relay', [this.#relay, host, pid, leaseMs])
  }

  /** Takes free lanes up to this relay's share, or gives up what is above it, of those that it may; and says what else is to be looked at. */
  async lookAround(giveUp: readonly number[]): Promise<Surroundings> {
    type Raw = { lanes: { lane: number; epoch: number }[] | null; subscriptions: number } & {
      [name in 'has_parked_keys' | 'has_catch_ups' | 'has_redrives']: boolean
    }
    const values = [this.#relay, this.#sink, giveUp, this.#logId]
    const [row] = await this.#query<Raw>('look-around', values)
    if (!row?.lanes) throw new Error('The log got another id: somebody ran moca outbox rebase')
    return {
      owned: new Map(row.lanes.map(({ lane, epoch }) => [lane, epoch])),
      subscriptions: row.subscriptions,
      hasParkedKeys: row.has_parked_keys,
      hasCatchUps: row.has_catch_ups,
      hasRedrives: row.has_redrives,
    }
  }

  /** From which batch on an operator wants a lane to be sent again. */
  async loadRedrives(): Promise<ReadonlyMap<number, Redrive>> {
    const rows = await this.#query<{ lane: number; from_n: number; last_id: number }>('load-redrives', [this.#sink])
    return new Map(rows.map(({ lane, from_n, last_id }) => [lane, { fromN: from_n, lastId: last_id }]))
  }

  /** Wishes up to this one are fulfilled. */
  async endRedrives(lane: number, { lastId }: Redrive): Promise<void> {
    await this.#query('end-redrives', [this.#sink, lane, lastId])
  }

  /** A lane that this relay owns stands still, or goes on. */
  async noteStandstill({
    number,
    epoch,
    standstill,
  }: {
    readonly number: number
    readonly epoch: number
    readonly standstill: Standstill | undefined
  }): Promise<void> {
    const { reason = null, found = null, expected = null } = standstill ?? {}
    await this.#query('note-standstill', [this.#relay, this.#sink, number, epoch, reason, found, expected])
  }

  async noteResent(lane: number, fromN: number, uptoN: number, rows: number): Promise<void> {
    await this.#query('note-resent', [this.#sink, lane, fromN, uptoN, rows])
  }

  /** Lets go of all lanes at once. */
  async leave(): Promise<void> {
    await this.#query('leave', [this.#relay])
  }

  /** Where the log stands. `anchor`: of a transaction that has ended. */
  async look(anchor: Anchor): Promise<Look> {
    type Raw = { life: string; drawn: number; snapshot: string; high: number; at: Date }
    const [row] = await this.#query<Raw>('look', [])
    if (!row) throw new Error('look() returned nothing')
    const { life, drawn, high, at } = row
    const snapshot = parseSnapshot(row.snapshot)
    if (anchor.xid >= snapshot.xmax) throw new Error(`Transaction ${anchor.xid} has not ended in ${row.snapshot}`)
    const floor = floorBelow(high, this.#floors)
    return { id: undefined, life, drawn, snapshot, low: anchor.low, high, floor, at }
  }

  /** What tells whether anything can be new since a look, for half its price. */
  async glance(): Promise<{ readonly snapshot: Snapshot; readonly drawn: number }> {
    const [row] = await this.#query<{ snapshot: string; drawn: number }>('glance', [])
    if (!row) throw new Error('A glance returned nothing')
    return { snapshot: parseSnapshot(row.snapshot), drawn: row.drawn }
  }

  /** The server's clock. */
  async now(): Promise<Date> {
    const [row] = await this.#connection.query<{ now: Date }>('select clock_timestamp() as now')
    if (!row) throw new Error('PostgreSQL did not tell the time')
    return row.now
  }

  async anchor(): Promise<Anchor> {
    const [row] = await this.#query<{ low: number; xid: string }>('anchor', [])
    if (!row) throw new Error('anchor() returned nothing')
    return { low: row.low, xid: BigInt(row.xid) }
  }

  async loadLanes(lanes: readonly number[]): Promise<StoredLane[]> {
    type Raw = RawStanding & { lane: number; epoch: number; n: number | null; digest: string; is_acked: boolean }
    const rows = await this.#query<Raw>('load-lanes', [this.#sink, lanes])
    return rows.map((row) => ({
      lane: row.lane,
      epoch: row.epoch,
      last: row.n === null ? undefined : { n: row.n, digest: row.digest, isAcked: row.is_acked },
      standing: toStanding(row, this.#floors),
    }))
  }

  /** Subscriptions that have not caught up in these lanes. */
  async loadCatchUps(lanes: readonly number[]): Promise<StoredCatchUp[]> {
    type Raw = RawStanding & RawTick<'past'> & { lane: number; name: string; since: number }
    const rows = await this.#query<Raw>('load-catch-ups', [this.#sink, lanes])
    return rows.map((row) => {
      const { lane, name, since } = row
      const past =
        tickOf(row.past_id, row.past_snapshot, row.past_low, row.past_high, this.#floors) ?? BEFORE_EVERYTHING
      return { lane, name, since, past, standing: toStanding(row, this.#floors) }
    })
  }

  /** Batches from number `n` on, in order. */
  async loadBatches(lane: number, n: number, most: number): Promise<StoredBatch[]> {
    return (await this.#query<RawBatch>('load-batches', [this.#sink, lane, n, most])).map((row) =>
      toBatch(row, this.#floors),
    )
  }

  async loadParkedKeys(lanes: readonly number[]): Promise<ParkedKey[]> {
    type Raw = {
      lane: number
      key: string
      reason: string
      error: string
      first_seq: number
      wish: ParkedKey['wish'] | null
    }
    const rows = await this.#query<Raw>('load-parked-keys', [this.#sink, lanes])
    return rows.map(({ first_seq, wish, ...row }) => ({ ...row, firstSeq: first_seq, wish: wish ?? undefined }))
  }

  /** The next rows of windows, by lane. */
  async read(windows: readonly Window[], limits: BatchLimits): Promise<Map<number, Reading>> {
    const { begun, late } = readArguments(windows)
    const { rows: mostRows, bytes: mostBytes } = limits
    const rows = await this.#query<RawRow>('read-begun', [
      begun.lanes,
      begun.above,
      begun.high,
      begun.xmax,
      begun.seen,
      mostRows,
      mostBytes,
    ])
    const lateRows =
      late.lanes.length === 0
        ? []
        : await this.#query<RawRow>('read-late', [late.lanes, late.above, late.upto, late.xids, mostRows, mostBytes])
    const byLane = new Map<number, LogRow[]>(windows.map(({ lane }) => [lane, []]))
    for (const row of [...rows, ...lateRows]) byLane.get(row.lane)?.push(toRow(row))
    return new Map([...byLane].map(([lane, found]) => [lane, mergeRows(found, limits)]))
  }

  /** Reads the rows of a batch again: exactly those that its intent means. */
  async readBatch(batch: StoredBatch): Promise<readonly LogRow[]> {
    const { lane, n, from = BEFORE_EVERYTHING, to, afterSeq, uptoSeq, unparkedKey } = batch
    if (unparkedKey !== undefined) return (await this.#query<RawRow>('read-unparked', [this.#sink, lane, n])).map(toRow)
    if (!to) throw new Error(`Batch ${n} of lane ${lane} has no window`)
    const all = { rows: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER }
    const reading = await this.read([{ lane, from, to, afterSeq, uptoSeq }], all)
    const leftOut = new Set(
      (await this.#query<{ seq: number }>('read-left-out', [this.#sink, lane, n])).map(({ seq }) => seq),
    )
    return (reading.get(lane)?.rows ?? []).filter(({ seq }) => !leftOut.has(seq))
  }

  /** The next rows of a parked key, in order. */
  async readParked(lane: number, key: string, limits: BatchLimits): Promise<LogRow[]> {
    return (await this.#query<RawRow>('read-parked', [this.#sink, lane, key, limits.rows, limits.bytes])).map(toRow)
  }

  async intend(request: IntentRequest): Promise<IntentAnswer> {
    const sink = this.#sink
    const withSink = <T extends object>(items: readonly T[]) => items.map((item) => ({ sink, ...item }))
    const { tick } = request
    const text = JSON.stringify({
      relay: this.#relay,
      subscriptions: request.subscriptions,
      lanes: withSink(request.lanes),
      tick: tick && { snapshot: tick.snapshot.text, low: tick.low, high: tick.high },
      batches: request.batches.map((batch) => ({
        sink,
        lane: batch.lane,
        n: batch.n,
        epoch: batch.epoch,
        from_tick: batch.fromTick,
        to_tick: batch.toTick,
        after_seq: batch.afterSeq,
        upto_seq: batch.uptoSeq,
        ends_window: batch.endsWindow,
        rows: batch.rows,
        digest: batch.digest,
        unparked_key: batch.unparkedKey,
        catch_up: batch.catchUp,
      })),
      ...withoutEmpty({
        acks: withSink(request.acks),
        parked_keys: request.parkedKeys.map(({ firstSeq, ...key }) => ({ sink, ...key, first_seq: firstSeq })),
        parked: withSink(request.parked),
        refused_again: request.refusedAgain.map(({ firstSeq, ...key }) => ({ sink, ...key, first_seq: firstSeq })),
        leaving: request.leaving.map(({ fromSeq, uptoSeq, ...rows }) => ({
          sink,
          ...rows,
          from_seq: fromSeq,
          upto_seq: uptoSeq,
        })),
        joins: request.joins.map(({ joinedN, ...join }) => ({ ...join, joined_n: joinedN })),
      }),
    })
    try {
      const [row] = await this.#query<{ answer: RawAnswer }>('intend', [text])
      return toAnswer(row?.answer)
    } catch (error) {
      if ((error as { sqlState?: string }).sqlState === '23505') return { refused: 'overtaken' }
      throw error
    }
  }

  #query<Row>(name: keyof Statements, values: readonly unknown[]): Promise<Row[]> {
    return this.#connection.query<Row>(this.#sql[name], values, { name: `moca-${name}` })
  }
}

function withoutEmpty(lists: Readonly<Record<string, readonly unknown[]>>): Record<string, readonly unknown[]> {
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0))
}

type RawAnswer =
  | { tick: number | null; low: number; xid: string }
  | { refused: 'subscriptions' }
  | { refused: 'lease'; lanes: { lane: number }[] }

function toAnswer(answer: RawAnswer | undefined): IntentAnswer {
  if (!answer) throw new Error('intend() returned nothing')
  if (!('refused' in answer)) {
    const { tick, low, xid } = answer
    return { tick: tick ?? undefined, anchor: { low, xid: BigInt(xid) } }
  }
  if (answer.refused === 'lease') return { refused: 'lease', lanes: answer.lanes.map(({ lane }) => lane) }
  return answer
}

function toBatch(row: RawBatch, floors: Floors): StoredBatch {
  return {
    lane: row.lane,
    n: row.n,
    from: toTick(row, 'from', floors),
    to: toTick(row, 'to', floors),
    afterSeq: row.after_seq,
    uptoSeq: row.upto_seq,
    endsWindow: row.ends_window,
    rows: row.rows,
    digest: row.digest,
    subscriptions: row.subscriptions,
    unparkedKey: row.unparked_key ?? undefined,
    catchUp: row.catch_up ?? undefined,
    at: row.at,
  }
}

function toStanding(row: RawStanding, floors: Floors): Standing | undefined {
  const [from = BEFORE_EVERYTHING, to] = [toTick(row, 'from', floors), toTick(row, 'to', floors)]
  if (!to || row.upto_seq === null || row.ends_window === null) return undefined
  return { from, to, uptoSeq: row.upto_seq, endsWindow: row.ends_window }
}

function toRow(row: RawRow): LogRow {
  return {
    seq: row.seq,
    lane: row.lane,
    xid: row.xid,
    kind: row.kind === 'e' ? 'event' : 'job',
    topic: row.topic,
    type: row.type,
    site: row.site ?? undefined,
    doctype: row.doctype ?? undefined,
    key: row.key ?? undefined,
    id: row.id,
    options: row.options ?? undefined,
    dueMs: row.due_ms ?? undefined,
    bytes: row.bytes,
    payload: row.payload,
  }
}

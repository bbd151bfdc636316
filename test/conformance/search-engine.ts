import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type {
  EngineQuery,
  IndexGeneration,
  IndexSettings,
  SearchDocument,
  SearchEngine,
  Submission,
  TicketOutcome,
} from '../../src/search/search-engine.ts'

// What every search engine must do. Run for PostgreSQL, for an engine whose tickets settle later, and for engines that are broken on purpose,
// each of which it must find out.

/** One empty engine, and what a check needs to know of it. */
export interface EngineHarness {
  readonly engine: SearchEngine
  /** How long to wait for a ticket. */
  readonly limitMs: number
  /** A document that the engine refuses by itself. */
  readonly badDocument: (id: string) => SearchDocument
}

export interface EngineCheck {
  readonly name: string
  /** Left out for engines that order otherwise. Default: for all. */
  readonly ordersBy?: SearchEngine['ordersBy']
  run(harness: EngineHarness): Promise<void>
}

const SETTINGS: IndexSettings = {
  searchable: ['name', 'text'],
  filterable: ['country', 'population'],
  sortable: ['population', 'name'],
  facets: ['country', 'tags'],
  language: 'simple',
}
const FIRST: IndexGeneration = { index: 'City', generation: 'one' }
const SECOND: IndexGeneration = { index: 'City', generation: 'two' }
const EVERYTHING: EngineQuery = { q: '', filter: {}, sort: [], facets: [], highlight: [], limit: 20, offset: 0 }
/** Nobody chose them to please an engine. */
const STRANGE_IDS = [
  '',
  '1',
  'a b',
  'ä/ö',
  'x'.repeat(300),
  '["1","2"]',
  'Ünï@example.com',
  '٣',
  "o'neill",
  '\\',
  'A',
  'a',
  ' ',
]

export function makeDocument(id: string, fields: Record<string, unknown> = {}): SearchDocument {
  const all = { name: `City ${id}`, ...fields }
  const text = JSON.stringify(all)
  return { id, rev: createHash('sha256').update(text).digest('base64url').slice(0, 22), fields: all, size: text.length }
}

async function outcomeOf({ engine, limitMs }: EngineHarness, submission: Submission): Promise<TicketOutcome> {
  const ticket = await engine.submit(submission)
  const deadline = Date.now() + limitMs
  for (;;) {
    const [outcome] = await engine.settle([ticket], 50)
    assert.ok(outcome, 'an outcome for each ticket')
    if (outcome.status !== 'pending') return outcome
    assert.ok(Date.now() < deadline, 'the ticket settles')
  }
}

/** Submits, one after another, and requires that each succeeds. */
function writer(harness: EngineHarness, target: IndexGeneration, epoch = 1) {
  let submission = 0
  return async (put: readonly SearchDocument[], deleted: readonly string[] = []) => {
    submission++
    const outcome = await outcomeOf(harness, { target, version: { epoch, submission }, put, delete: deleted })
    assert.deepEqual(outcome, { status: 'succeeded' })
  }
}

async function openLive(harness: EngineHarness, settings: IndexSettings = SETTINGS) {
  await harness.engine.create(FIRST, settings)
  assert.equal(await harness.engine.swap(FIRST.index, undefined, FIRST.generation), 'swapped')
  return writer(harness, FIRST)
}

async function search(engine: SearchEngine, query: Partial<EngineQuery>): Promise<string[]> {
  const { hits } = await engine.query(FIRST.index, { ...EVERYTHING, ...query })
  return hits.map(({ id }) => id)
}

async function readAll(engine: SearchEngine, target: IndexGeneration, limit = 3): Promise<[string, string][]> {
  const found: [string, string][] = []
  let after: string | undefined
  do {
    const page = await engine.readPage(target, after, limit)
    found.push(...page.documents.map(({ id, rev }): [string, string] => [id, rev]))
    after = page.next
  } while (after !== undefined)
  return found.toSorted(([a], [b]) => (a < b ? -1 : 1))
}

const revs = (documents: readonly SearchDocument[]) =>
  documents.map(({ id, rev }): [string, string] => [id, rev]).toSorted(([a], [b]) => (a < b ? -1 : 1))

export const ENGINE_CHECKS: readonly EngineCheck[] = [
  {
    name: 'keeps documents under whatever ids, hands them out letter by letter, and replaces and deletes them',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      const documents = STRANGE_IDS.map((id, index) =>
        makeDocument(id, { population: index, more: { deep: [null, 'ä🦀"\\\n', 1.5] } }),
      )
      await write(documents)
      assert.deepEqual(await readAll(engine, FIRST), revs(documents))
      assert.equal(await engine.count(FIRST), documents.length)
      const { hits, total } = await engine.query(FIRST.index, { ...EVERYTHING, limit: 100 })
      assert.equal(total, documents.length)
      for (const { id, fields } of documents) assert.deepEqual(hits.find((hit) => hit.id === id)?.fields, fields)
      const changed = makeDocument('A', { name: 'Bern' })
      await write([changed], ['a', 'x'.repeat(300), 'never there'])
      const left = documents.filter(({ id }) => !['a', 'A', 'x'.repeat(300)].includes(id))
      assert.deepEqual(await readAll(engine, FIRST), revs([...left, changed]))
      const asked = await engine.readRevs(FIRST, ['A', 'a', 'never there', ' '])
      assert.deepEqual(asked.map(({ id }) => id).toSorted(), [' ', 'A'])
      assert.equal(asked.find(({ id }) => id === 'A')?.rev, changed.rev)
    },
  },
  {
    name: 'sending the same again is harmless',
    async run(harness) {
      const write = await openLive(harness)
      const documents = [makeDocument('1'), makeDocument('2')]
      await write(documents, ['3'])
      await write(documents, ['3'])
      assert.deepEqual(await readAll(harness.engine, FIRST), revs(documents))
    },
  },
  {
    name: 'applies what a writer submits in its order, without waiting for each',
    async run(harness) {
      const { engine, limitMs } = harness
      await openLive(harness)
      const tickets: string[] = []
      for (let n = 1; n <= 12; n++) {
        const put = n % 3 === 0 ? [] : [makeDocument('1', { population: n }), makeDocument(`n${n}`)]
        const submission = {
          target: FIRST,
          version: { epoch: 1, submission: n },
          put,
          delete: n % 3 === 0 ? ['1'] : [],
        }
        tickets.push(await engine.submit(submission))
      }
      const deadline = Date.now() + limitMs
      let outcomes = await engine.settle(tickets, 50)
      while (outcomes.some(({ status }) => status === 'pending')) {
        assert.ok(Date.now() < deadline, 'the tickets settle')
        outcomes = await engine.settle(tickets, 50)
      }
      assert.deepEqual(
        outcomes,
        tickets.map(() => ({ status: 'succeeded' })),
      )
      const ids = (await readAll(engine, FIRST)).map(([id]) => id)
      assert.deepEqual(ids, ['n1', 'n10', 'n11', 'n2', 'n4', 'n5', 'n7', 'n8'])
    },
  },
  {
    name: 'a bad document fails its submission, of which nothing is applied, and no other one',
    async run(harness) {
      const { engine, badDocument } = harness
      const write = await openLive(harness)
      await write([makeDocument('1')])
      const outcome = await outcomeOf(harness, {
        target: FIRST,
        version: { epoch: 1, submission: 5 },
        put: [makeDocument('2'), badDocument('bad'), makeDocument('3')],
        delete: ['1'],
      })
      assert.equal(outcome.status, 'failed')
      if (outcome.status !== 'failed') return
      assert.ok(outcome.reason.length > 0)
      assert.ok(outcome.ids.length === 0 || outcome.ids.includes('bad'))
      assert.deepEqual(await readAll(engine, FIRST), revs([makeDocument('1')]))
      const after = await outcomeOf(harness, {
        target: FIRST,
        version: { epoch: 1, submission: 6 },
        put: [makeDocument('2')],
        delete: ['1'],
      })
      assert.deepEqual(after, { status: 'succeeded' })
      assert.deepEqual(await readAll(engine, FIRST), revs([makeDocument('2')]))
    },
  },
  {
    name: 'an earlier writer, or an earlier submission, changes nothing any more',
    ordersBy: 'version',
    async run(harness) {
      const { engine } = harness
      await openLive(harness)
      const at = (epoch: number, submission: number, population: number): Submission => ({
        target: FIRST,
        version: { epoch, submission },
        put: [makeDocument('1', { population })],
        delete: [],
      })
      assert.deepEqual(await outcomeOf(harness, at(2, 7, 1)), { status: 'succeeded' })
      assert.deepEqual(await outcomeOf(harness, at(1, 9, 2)), { status: 'superseded' })
      assert.deepEqual(await outcomeOf(harness, at(2, 6, 3)), { status: 'overtaken' })
      assert.deepEqual(await outcomeOf(harness, at(2, 7, 4)), { status: 'overtaken' })
      assert.deepEqual(await readAll(engine, FIRST), revs([makeDocument('1', { population: 1 })]))
      assert.deepEqual(await outcomeOf(harness, at(3, 1, 5)), { status: 'succeeded' })
      // A deletion is a change like others: what comes late does not bring the document back.
      const deletion: Submission = { target: FIRST, version: { epoch: 3, submission: 3 }, put: [], delete: ['1'] }
      assert.deepEqual(await outcomeOf(harness, deletion), { status: 'succeeded' })
      assert.deepEqual(await outcomeOf(harness, at(3, 2, 6)), { status: 'overtaken' })
      assert.deepEqual(await readAll(engine, FIRST), [])
    },
  },
  {
    name: 'a shadow is filled unseen, and takes the place of the live generation at once',
    async run(harness) {
      const { engine } = harness
      assert.equal(await engine.live(FIRST.index), undefined)
      const write = await openLive(harness)
      await write([makeDocument('1')])
      await engine.create(SECOND, { ...SETTINGS, sortable: [] })
      await engine.create(SECOND, { ...SETTINGS, sortable: [] })
      await writer(harness, SECOND)([makeDocument('2')])
      assert.deepEqual(await search(engine, {}), ['1'])
      assert.deepEqual(await engine.live(FIRST.index), { generation: 'one', settings: SETTINGS })
      assert.deepEqual((await engine.listGenerations(FIRST.index)).toSorted(), ['one', 'two'])
      assert.equal(await engine.swap(FIRST.index, 'other', 'two'), 'not-live')
      assert.equal(await engine.swap(FIRST.index, undefined, 'two'), 'not-live')
      await assert.rejects(engine.drop(FIRST))
      assert.equal(await engine.swap(FIRST.index, 'one', 'two'), 'swapped')
      assert.deepEqual(await search(engine, {}), ['2'])
      assert.equal(await engine.swap(FIRST.index, 'one', 'two'), 'not-live', 'a swap that is sent twice swaps once')
      assert.deepEqual((await engine.live(FIRST.index))?.generation, 'two')
      assert.deepEqual((await engine.live(FIRST.index))?.settings.sortable, [])
      await engine.drop(FIRST)
      await engine.drop(FIRST)
      assert.deepEqual(await engine.listGenerations(FIRST.index), ['two'])
      assert.deepEqual(await search(engine, {}), ['2'])
    },
  },
  {
    name: 'an index is removed with all its generations, twice without harm, and can be made again',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      await write([makeDocument('1')])
      await engine.create(SECOND, SETTINGS)
      const other = { index: 'Country', generation: 'one' }
      await engine.create(other, SETTINGS)
      await engine.remove(FIRST.index)
      await engine.remove(FIRST.index)
      assert.deepEqual(await engine.listGenerations(FIRST.index), [])
      assert.equal(await engine.live(FIRST.index), undefined)
      assert.deepEqual(await engine.listGenerations('Country'), ['one'])
      await assert.rejects(search(engine, {}), { code: 'option_invalid' })
      await openLive(harness)
      assert.deepEqual(await search(engine, {}), [])
    },
  },
  {
    name: 'another index is another one',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      const other = { index: 'Country', generation: 'one' }
      await engine.create(other, SETTINGS)
      await write([makeDocument('1')])
      await writer(harness, other)([makeDocument('2')])
      assert.deepEqual(await readAll(engine, FIRST), revs([makeDocument('1')]))
      assert.deepEqual(await readAll(engine, other), revs([makeDocument('2')]))
      assert.equal(await engine.live('Country'), undefined)
    },
  },
  {
    name: 'reads each document that stays once, while others come and go',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      const staying = Array.from({ length: 30 }, (_, n) => makeDocument(`s${n}`))
      const going = Array.from({ length: 10 }, (_, n) => makeDocument(`g${n}`))
      await write([...staying, ...going])
      const seen: string[] = []
      let after: string | undefined
      let page = 0
      do {
        const read = await engine.readPage(FIRST, after, 4)
        seen.push(...read.documents.map(({ id }) => id))
        after = read.next
        await write([makeDocument(`new${page}`)], [`g${page}`])
        page++
      } while (after !== undefined)
      assert.deepEqual(seen.filter((id) => id.startsWith('s')).toSorted(), staying.map(({ id }) => id).toSorted())
    },
  },
  {
    name: 'finds words: whole ones, the beginning of the last one, several at once, without regard to accents and capitals',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      await write([
        makeDocument('1', { name: 'São Paulo', text: 'the largest city' }),
        makeDocument('2', { name: 'Paris', text: "it's the city of lights (of Île-de-France)" }),
        makeDocument('3', { name: 'New York City', text: 'never sleeps' }),
        makeDocument('4', { name: 'Yorkshire', text: 'new in the list' }),
      ])
      const cases: [string, string[]][] = [
        ['sao', ['1']],
        ['SÃO paulo', ['1']],
        ['par', ['2']],
        ['ile france', ['2']],
        ['new york', ['3', '4']],
        ['york new', ['3']],
        ['york ', ['3']],
        ['city ', ['1', '2', '3']],
        ["it's", ['2']],
        ['yor new yor', ['3', '4']],
        ['nowhere', []],
        ["'; drop table city; --", []],
        ['!&|()*:\\', ['1', '2', '3', '4']],
      ]
      for (const [q, expected] of cases) assert.deepEqual((await search(engine, { q })).toSorted(), expected, q)
      assert.equal((await search(engine, { q: 'city' }))[0], '3', 'the first field weighs more')
    },
  },
  {
    name: 'finds misspelt words',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      const names = ['Amsterdam', 'Barcelona', 'Paris', 'Bern', 'Rio']
      await write(names.map((name) => makeDocument(name, { name })))
      const cases: [string, string[]][] = [
        ['Amsterdma', ['Amsterdam']],
        ['Amstredma', ['Amsterdam']],
        ['Barselona', ['Barcelona']],
        ['Pairs', ['Paris']],
        ['Parris', ['Paris']],
        ['Barn ', ['Bern']],
        ['Roi ', []],
      ]
      for (const [q, expected] of cases) assert.deepEqual(await search(engine, { q }), expected, q)
    },
  },
  {
    name: 'what has the text as its name comes first',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      const names = ['Paris Paris Paris', 'New Paris', 'Parisian', 'Paris', 'Paris la Défense']
      await write(names.map((name) => makeDocument(name, { name })))
      const found = await search(engine, { q: 'paris' })
      assert.equal(found[0], 'Paris')
      assert.equal(found.at(-1), 'Parisian', 'a word that only begins so is worth least')
      assert.equal(found.length, names.length)
    },
  },
  {
    name: 'finds what has a short beginning in its first field, however many have it elsewhere',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      const others = Array.from({ length: 1_100 }, (_, n) =>
        makeDocument(`o${n}`, { name: `Thing ${n}`, text: 'de la' }),
      )
      await write([...others, makeDocument('1', { name: 'Denver' }), makeDocument('2', { name: 'De', text: 'x' })])
      assert.deepEqual((await search(engine, { q: 'de' })).slice(0, 2), ['2', '1'])
      const more = Array.from({ length: 1_100 }, (_, n) => makeDocument(`n${n}`, { name: `New Thing ${n}` }))
      await write([...more, makeDocument('3', { name: 'New' })])
      assert.equal((await search(engine, { q: 'new' }))[0], '3')
    },
  },
  {
    name: 'filters by value, one of several, list, null and range, all at once, among all documents and among those with a word',
    async run(harness) {
      const { engine } = harness
      const long = 'Llan'.repeat(200)
      const write = await openLive(harness)
      await write([
        makeDocument('1', { country: 'FR', population: 2_100_000, tags: ['old', 'big'] }),
        makeDocument('2', { country: 'FR', population: 500, tags: ['old'] }),
        makeDocument('3', { country: 'DE', population: 3_600_000, tags: [] }),
        makeDocument('4', { population: 10 }),
        makeDocument('5', { country: "l'Île \\", population: -3 }),
        makeDocument('6', { country: ['IT', 'CH'], population: [7, 8] }),
        makeDocument('7', { country: long }),
        makeDocument('8', { country: true, population: 'many' }),
        makeDocument('9', { country: 'xx'.repeat(250), population: 'few' }),
      ])
      const cases: [EngineQuery['filter'], string[]][] = [
        [{ country: 'FR' }, ['1', '2']],
        [{ country: ['DE', 'FR'] }, ['1', '2', '3']],
        [{ country: [] }, []],
        [{ country: null }, ['4']],
        [{ country: "l'Île \\" }, ['5']],
        [{ country: 'fr' }, []],
        [{ tags: 'old' }, ['1', '2']],
        [{ tags: ['big', 'none'] }, ['1']],
        [{ population: { gte: 500, lt: 2_100_000 } }, ['2']],
        [{ population: { gt: 500 } }, ['1', '3']],
        [{ population: { lte: 10 } }, ['4', '5']],
        [{ population: 500 }, ['2']],
        [{ population: [500, 8, 'nothing'] }, ['2', '6']],
        [{ population: 7 }, ['6']],
        [{ population: null }, ['7']],
        [{ population: [null, 500] as never }, ['2', '7']],
        [{ population: 'many' }, ['8']],
        [{ country: 'IT' }, ['6']],
        [{ country: true }, ['8']],
        [{ country: 'xx'.repeat(250) }, ['9']],
        [{ country: 'xx'.repeat(200) }, []],
        [{ country: `${'x'.repeat(399)}🦀` }, []],
        [{ country: 'F\0R' }, ['1', '2']],
        [{ country: '\ud800' }, []],
        [{ country: [long, 'DE'] }, ['3', '7']],
        [{ country: `${long}o` }, []],
        [{ country: 'FR', population: 500 }, ['2']],
        [{ country: ['CH', 'FR'], population: [8, 500] }, ['2', '6']],
        [{ country: 'FR', population: { gt: 1_000 } }, ['1']],
        [{ country: { gte: 'E', lt: 'G' } }, ['1', '2']],
        [{ country: [...Array.from({ length: 999 }, (_, n) => `none ${n}`), 'DE'] }, ['3']],
        [{ country: { gte: 'F\0', lt: 'G\ud800' } }, ['1', '2']],
      ]
      for (const [filter, expected] of cases) {
        for (const q of ['', 'city ']) {
          assert.deepEqual((await search(engine, { q, filter })).toSorted(), expected, `${q}${JSON.stringify(filter)}`)
        }
      }
      assert.deepEqual(await search(engine, { q: 'city 2 ', filter: { country: 'FR' } }), ['2'])
    },
  },
  {
    name: 'knows what changed of a document: its values, its texts, or what it is counted by',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness, { ...SETTINGS, facets: ['population', 'tags'] })
      let fields: Record<string, unknown> = { name: 'Bern', country: 'CH', population: 5, tags: ['old'], note: 1 }
      await write([makeDocument('1', fields), makeDocument('2', { name: 'Thun', population: 6 })])
      const found = (query: Partial<EngineQuery>) => search(engine, query)
      const change = async (changes: Record<string, unknown>) => {
        fields = { ...fields, ...changes }
        await write([makeDocument('1', fields)])
        const { hits } = await engine.query(FIRST.index, { ...EVERYTHING, q: fields.name as string })
        assert.deepEqual(hits[0]?.fields, fields)
      }
      await change({ note: 2 })
      await change({ population: 7 })
      assert.deepEqual(await found({ filter: { population: 5 } }), [])
      assert.deepEqual(await found({ filter: { population: 7 } }), ['1'])
      assert.deepEqual(await found({ q: 'bern', filter: { population: { gt: 6 } } }), ['1'])
      assert.deepEqual(await found({ sort: [{ field: 'population', direction: 'asc' }] }), ['2', '1'])
      const { facets } = await engine.query(FIRST.index, { ...EVERYTHING, q: 'bern', facets: ['population'] })
      assert.deepEqual(facets, { population: [{ value: 7, count: 1 }] })
      const ranged = { filter: { population: { gt: 6 } }, facets: ['tags'] }
      assert.deepEqual((await engine.query(FIRST.index, { ...EVERYTHING, ...ranged })).facets, {
        tags: [{ value: 'old', count: 1 }],
      })
      await change({ population: null })
      assert.deepEqual(await found({ q: 'bern', filter: { population: null } }), ['1'])
      await change({ population: 'none' })
      assert.deepEqual(await found({ q: 'bern', filter: { population: 'none' } }), ['1'])
      await change({ country: 'LI' })
      assert.deepEqual(await found({ filter: { country: 'CH' } }), [])
      assert.deepEqual(await found({ q: 'bern', filter: { country: 'LI' } }), ['1'])
      await change({ tags: ['new'], population: 4 })
      assert.deepEqual(await found({ filter: { tags: 'old' } }), [])
      assert.deepEqual(await found({ filter: { tags: 'new', population: 4 } }), ['1'])
      await change({ name: 'Biel' })
      assert.deepEqual(await found({ q: 'bern ' }), [])
    },
  },
  {
    name: 'sorts by several fields, both ways, and gives pages without gaps or repetitions',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      const documents = Array.from({ length: 25 }, (_, n) =>
        makeDocument(`${n}`, { name: `c${n % 2}`, population: n % 5 }),
      )
      await write(documents)
      const population = new Map(documents.map(({ id, fields }) => [id, fields.population as number]))
      for (const direction of ['asc', 'desc'] as const) {
        const sort = [{ field: 'population', direction }]
        const pages = [0, 10, 20, 30].map((offset) => search(engine, { sort, limit: 10, offset }))
        const found = (await Promise.all(pages)).flat()
        assert.equal(new Set(found).size, 25)
        const order = found.map((id) => population.get(id) as number)
        assert.deepEqual(
          order,
          order.toSorted((a, b) => (direction === 'asc' ? a - b : b - a)),
        )
      }
      const both = await search(engine, {
        sort: [
          { field: 'name', direction: 'desc' },
          { field: 'population', direction: 'asc' },
        ],
        limit: 2,
      })
      assert.deepEqual(both.toSorted(), ['15', '5'])
      const { total } = await engine.query(FIRST.index, { ...EVERYTHING, q: 'c1', limit: 2, offset: 0 })
      assert.equal(total, 12)
      const byWords = [0, 5, 10].map((offset) => search(engine, { q: 'c1', limit: 5, offset }))
      assert.equal(new Set((await Promise.all(byWords)).flat()).size, 12)
    },
  },
  {
    name: 'refuses to filter, sort and count by what the live generation was not built with',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      await write([makeDocument('1', { region: 'north' })])
      const queries: Partial<EngineQuery>[] = [
        { filter: { region: 'north' } },
        { sort: [{ field: 'region', direction: 'asc' }] },
        { facets: ['region'] },
      ]
      for (const query of queries) {
        await assert.rejects(search(engine, query), {
          code: 'option_invalid',
          message: /region .* moca search rebuild City/,
        })
      }
    },
  },
  {
    name: 'counts facets of all that match',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      await write([
        makeDocument('1', { country: 'FR', tags: ['old', 'big'] }),
        makeDocument('2', { country: 'FR', tags: ['old'] }),
        makeDocument('3', { country: 'DE' }),
        makeDocument('4', {}),
      ])
      const { facets, total } = await engine.query(FIRST.index, {
        ...EVERYTHING,
        facets: ['country', 'tags'],
        limit: 1,
      })
      assert.equal(total, 4)
      assert.deepEqual(facets, {
        country: [
          { value: 'FR', count: 2 },
          { value: 'DE', count: 1 },
        ],
        tags: [
          { value: 'old', count: 2 },
          { value: 'big', count: 1 },
        ],
      })
      const filtered = await engine.query(FIRST.index, { ...EVERYTHING, facets: ['tags'], filter: { tags: 'big' } })
      assert.deepEqual(
        filtered.facets.tags?.toSorted((a, b) => (String(a.value) < String(b.value) ? -1 : 1)),
        [
          { value: 'big', count: 1 },
          { value: 'old', count: 1 },
        ],
      )
    },
  },
  {
    name: 'marks what it found',
    async run(harness) {
      const { engine } = harness
      const write = await openLive(harness)
      const text = `${'Lorem ipsum '.repeat(50)}in Zürich, <b>bei</b> Zug${' dolor sit'.repeat(50)}`
      await write([makeDocument('1', { name: 'Zürich', text })])
      const { hits } = await engine.query(FIRST.index, { ...EVERYTHING, q: 'zuric', highlight: ['name', 'text'] })
      const { name, text: cut } = hits[0]?.highlights ?? {}
      assert.deepEqual(name, [{ text: 'Zürich', isMatch: true }])
      assert.deepEqual(
        cut?.filter(({ isMatch }) => isMatch),
        [{ text: 'Zürich', isMatch: true }],
      )
      const shown = cut?.map((piece) => piece.text).join('') ?? ''
      assert.ok(shown.length < 400 && shown.includes(', <b>bei</b> Zug'), shown)
    },
  },
]

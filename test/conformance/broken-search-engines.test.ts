import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Database } from '../../src/postgres/database.ts'
import { PostgresEngine } from '../../src/search/engines/postgres/postgres-engine.ts'
import type { SearchDocument, SearchEngine } from '../../src/search/search-engine.ts'
import { outboxScenes } from '../support/outbox-scene.ts'
import { ENGINE_CHECKS, makeDocument } from './search-engine.ts'

/** More values than go in a vector (1 MB). */
function tooLarge(id: string) {
  const values = Array.from({ length: 1_000 }, (_, n) => `${n}${'x'.repeat(390)}`)
  return makeDocument(id, { country: values, tags: values, population: values })
}

// The suite for search engines is worth something only if it finds faults: each of these is planted, and must be found.

const openScene = outboxScenes()

interface Fault {
  readonly name: string
  /** How the check begins that must find it. */
  readonly foundBy: string
  readonly plant: (engine: SearchEngine) => Partial<SearchEngine>
}

const FAULTS: readonly Fault[] = [
  {
    name: 'drops a document of a batch',
    foundBy: 'keeps documents under whatever ids',
    plant: (engine) => ({
      submit: (submission) => engine.submit({ ...submission, put: submission.put.filter((_, index) => index !== 3) }),
    }),
  },
  {
    name: 'forgets to delete',
    foundBy: 'keeps documents under whatever ids',
    plant: (engine) => ({ submit: (submission) => engine.submit({ ...submission, delete: [] }) }),
  },
  {
    name: 'takes what a document was first for what it is',
    foundBy: 'knows what changed of a document',
    plant: (engine) => {
      const first = new Map<string, SearchDocument>()
      return {
        submit: ({ put, ...rest }) => {
          for (const document of put) if (!first.has(document.id)) first.set(document.id, document)
          return engine.submit({
            ...rest,
            put: put.map((each) => ({ ...each, fields: { ...each.fields, name: first.get(each.id)?.fields['name'] } })),
          })
        },
      }
    },
  },
  {
    name: 'takes ids without regard to capitals',
    foundBy: 'keeps documents under whatever ids',
    plant: (engine) => ({
      submit: (submission) =>
        engine.submit({
          ...submission,
          put: [...new Map(submission.put.map((each) => [each.id.toLowerCase(), each])).values()],
        }),
    }),
  },
  {
    name: 'applies what it can of a bad batch',
    foundBy: 'a bad document fails its submission',
    plant: (engine) => ({
      submit: async (submission) => {
        const good = submission.put.filter(({ id }) => id !== 'bad')
        const ticket = await engine.submit({ ...submission, put: good })
        return good.length === submission.put.length
          ? ticket
          : JSON.stringify({ status: 'failed', reason: 'x', ids: ['bad'] })
      },
    }),
  },
  {
    name: 'says of a bad batch that it succeeded',
    foundBy: 'a bad document fails its submission',
    plant: (engine) => ({
      settle: async (tickets, waitMs) =>
        (await engine.settle(tickets, waitMs)).map((outcome) =>
          outcome.status === 'failed' ? { status: 'succeeded' as const } : outcome,
        ),
    }),
  },
  {
    name: 'lets an earlier writer write',
    foundBy: 'an earlier writer, or an earlier submission',
    plant: (engine) => {
      let submission = 0
      return {
        submit: (each) => {
          submission++
          return engine.submit({ ...each, version: { epoch: 1, submission } })
        },
      }
    },
  },
  {
    name: 'swaps back when a swap is sent twice',
    foundBy: 'a shadow is filled unseen',
    plant: (engine) => ({
      swap: async (index, from, to) => {
        const live = (await engine.live(index))?.generation
        return engine.swap(index, live, live === to && from !== undefined ? from : to)
      },
    }),
  },
  {
    name: 'shows a shadow before its time',
    foundBy: 'a shadow is filled unseen',
    plant: (engine) => ({
      create: async (target, settings) => {
        await engine.create(target, settings)
        await engine.swap(target.index, (await engine.live(target.index))?.generation, target.generation)
      },
      swap: async () => 'swapped',
    }),
  },
  {
    name: 'forgets the last page',
    foundBy: 'reads each document that stays once',
    plant: (engine) => ({
      readPage: async (target, after, limit) => {
        const page = await engine.readPage(target, after, limit)
        return page.documents.length < limit ? { documents: [], next: undefined } : page
      },
    }),
  },
  {
    name: 'knows no typos',
    foundBy: 'finds misspelt words',
    plant: (engine) => ({
      query: async (index, query) => {
        const result = await engine.query(index, query)
        const isWritten = result.hits.filter(({ fields }) =>
          String(fields['name']).toLowerCase().startsWith(query.q.trim().toLowerCase()),
        )
        return { ...result, hits: isWritten }
      },
    }),
  },
  {
    name: 'ignores filters',
    foundBy: 'filters by value',
    plant: (engine) => ({ query: (index, query) => engine.query(index, { ...query, filter: {} }) }),
  },
  {
    name: 'sorts one way only',
    foundBy: 'sorts by several fields',
    plant: (engine) => ({
      query: (index, query) =>
        engine.query(index, { ...query, sort: query.sort.map(({ field }) => ({ field, direction: 'asc' as const })) }),
    }),
  },
  {
    name: 'counts facets of a page',
    foundBy: 'counts facets of all that match',
    plant: (engine) => ({
      query: async (index, query) => {
        const result = await engine.query(index, query)
        const countries = result.hits.map(({ fields }) => fields['country'] as string)
        return { ...result, facets: { ...result.facets, country: countries.map((value) => ({ value, count: 1 })) } }
      },
    }),
  },
  {
    name: 'marks nothing',
    foundBy: 'marks what it found',
    plant: (engine) => ({ query: (index, query) => engine.query(index, { ...query, highlight: [] }) }),
  },
]

for (const fault of FAULTS) {
  test(`a search engine that ${fault.name} is found out`, async (t) => {
    const scene = await openScene(t)
    const database = new Database({ url: scene.database.url, name: 'moca:test' })
    t.after(() => database.close())
    const real: SearchEngine = new PostgresEngine({ database, schema: 'moca' })
    const plantedParts = fault.plant(real) as Record<string | symbol, unknown>
    const broken = new Proxy(real, {
      get: (engine, name) => {
        const planted = plantedParts[name]
        const own = planted ?? Reflect.get(engine, name, engine)
        return typeof own === 'function' ? (own as (...args: unknown[]) => unknown).bind(engine) : own
      },
    })
    const check = ENGINE_CHECKS.find(({ name }) => name.startsWith(fault.foundBy))
    assert.ok(check, fault.foundBy)
    await assert.rejects(check.run({ engine: broken, limitMs: 5_000, badDocument: tooLarge }), assert.AssertionError)
  })
}

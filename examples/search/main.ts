import { createMoca } from 'mocajs'
import { Pool } from 'pg'
import { Book } from './doctypes.ts'

const url = process.env.DATABASE_URL ?? 'postgres://127.0.0.1/postgres'
const pool = new Pool({ connectionString: url })
// The pool replaces an idle connection that breaks; unheard, its error would end the process.
pool.on('error', () => {})
await using moca = createMoca({ postgres: { url } })

/** Asks until the index has come to it: it follows the table within a fraction of a second. */
async function find(q: string, wanted: number): Promise<void> {
  for (;;) {
    const { hits, facets } = await moca.search.query(Book, { q, facets: ['language'], highlight: ['title'] })
    if (hits.length === wanted) {
      const titles = hits.map(({ fields }) => `${String(fields.title)} (${String(fields.author)})`)
      const languages = facets.language?.map(({ value, count }) => `${String(value)} ${count}`)
      return console.log(`${q}: ${titles.join(', ') || 'nothing'}; ${languages?.join(', ') || 'no languages'}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

await pool.query(`
  insert into author values (1, 'Ursula Le Guin'), (2, 'Stanisław Lem');
  insert into book values
    (1, 1, 'The Dispossessed', 'An ambiguous utopia on two worlds', 1974, 'en'),
    (2, 1, 'The Left Hand of Darkness', 'An envoy on a world of winter', 1969, 'en'),
    (3, 2, 'Solaris', 'Scientists study an ocean that studies them', 1961, 'pl')`)
await find('studying', 1)
await find('dispossesed', 1)
await pool.query("update author set name = 'Ursula K. Le Guin' where id = 1")
await find('ursula k', 2)
await pool.query('delete from book where id = 1')
await find('ursula', 1)
await pool.end()

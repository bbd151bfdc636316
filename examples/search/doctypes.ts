import { defineDoctype } from 'mocajs'

export const Author = defineDoctype({ name: 'Author', table: 'author', key: 'id' })

export const Book = defineDoctype({
  name: 'Book',
  table: 'book',
  key: 'id',
  search: {
    searchable: ['title', 'author', 'blurb'],
    filterable: ['year'],
    sortable: ['year'],
    facets: ['language'],
    language: 'english',
    // When an author changes, so do the documents of the books.
    embeds: [{ doctype: 'Author', column: 'author_id' }],
    project: async (books, { query }) => {
      const authors = await query<{ id: number; name: string }>('select id, name from author where id = any ($1)', [
        books.map((book) => book.author_id),
      ])
      const nameOf = new Map(authors.map(({ id, name }) => [id, name]))
      return books.map(({ title, author_id, blurb, year, language }) => {
        return { title, blurb, year, language, author: nameOf.get(author_id as number) ?? null }
      })
    },
  },
})
